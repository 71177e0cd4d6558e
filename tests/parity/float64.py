"""Compare `GAN.update` at float64 with the NumPy GAN, and print the largest differences as JSON.

A process of its own, because `set_floatx` is for everything that is built after it. The package's networks are float32
whatever is set, so they are copied into float64 layer by layer.
"""

import json
import os

# A thread that waits for its turn spins, which on a busy machine costs more than a second one gains.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy_gan import NumpyGAN, rounded_to_float32

from learning_gan.backend import keras, tf
from learning_gan.data import load_mnist
from learning_gan.inputs import epoch_order, latents
from learning_gan.network import build_networks
from learning_gan.optimizers import model_optimizers
from learning_gan.recipe import HyperParameters
from learning_gan.training import GAN

UPDATES = 100
HP = HyperParameters()
# The numbers of the recipe that are rounded to float32 whatever the precision of the rest: alpha by TensorFlow, whose
# operation holds it so; the betas by `model_optimizers`, since Keras would round them in one place and not in another.
HELD = {"alpha": HP.alpha, "beta_1": HP.beta_1, "beta_2": 0.999}


def make_batches() -> list:
    "Real images and latents for each update, float64."
    images = load_mnist("embedded").train.images
    rows = epoch_order(0, 0, len(images), UPDATES * HP.batch_size).reshape(UPDATES, -1)
    z = [latents(0, update, HP.batch_size, HP.z_size).numpy() for update in range(UPDATES)]
    real_images = [images[r].reshape(HP.batch_size, -1) / 127.5 - 1 for r in rows]
    return list(zip(real_images, [x.astype(np.float64) for x in z], strict=True))


def differences(losses, weights, oracle: NumpyGAN, batches) -> dict[str, float]:
    "The largest differences of the losses up to some updates, and of the weights after the last."
    theirs = [oracle.update(*batch) for batch in batches]
    found = np.abs(np.subtract(losses, theirs)).max(axis=1)
    pairs = zip(weights, oracle.g.weights + oracle.d.weights, strict=True)
    largest = {str(n): float(found[:n].max()) for n in (1, 10, 50, UPDATES)}
    return largest | {"weights": float(max(np.abs(ours - theirs).max() for ours, theirs in pairs))}


def in_float64(model: keras.Model) -> keras.Model:
    "The same layers and weights, in float64."

    def copy(layer):
        return type(layer).from_config(layer.get_config() | {"dtype": "float64"})

    inputs = keras.Input(model.input_shape[1:], dtype="float64")
    clone = keras.models.clone_model(model, inputs, clone_function=copy)
    clone.set_weights(model.get_weights())
    return clone


def main() -> None:
    keras.config.set_floatx("float64")
    gan, batches = GAN(*map(in_float64, build_networks(HP, seed=0))), make_batches()
    gan.compile(*model_optimizers(HP.learning_rate, HP.beta_1), smooth=HP.smooth)
    first = gan.generator.get_weights(), gan.discriminator.get_weights()
    update = tf.function(gan.update, jit_compile=True)
    losses = [[loss.numpy() for loss in update(*batch)] for batch in batches]
    weights = gan.generator.get_weights() + gan.discriminator.get_weights()

    held = {name: rounded_to_float32(value) for name, value in HELD.items()}
    report = {
        "dtypes": sorted({v.dtype for v in gan.state().values()}),
        "as it is held": differences(losses, weights, NumpyGAN(*first, **held), batches),
        "as it is written": differences(losses, weights, NumpyGAN(*first), batches),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
