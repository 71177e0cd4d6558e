"""`GAN.update` in float64 computes what a GAN in NumPy computes; chapter 50 holds it to the graph of 2017, in float32.

`pytest tests/test_parity.py -s` prints how closely.
"""

import json

import numpy as np
import processes
import pytest
from numpy_gan import NumpyGAN, rounded_to_float32
from threadpoolctl import threadpool_limits

from learning_gan.core.backend import keras, tf
from learning_gan.parts.inputs import epoch_order, latents
from learning_gan.parts.networks import build_networks
from learning_gan.parts.optimizers import model_optimizers
from learning_gan.parts.recipes import HyperParameters
from learning_gan.run.training import GAN

pytestmark = pytest.mark.parity

HP = HyperParameters()


def test_numpy_gradients_are_the_slopes_of_its_losses():
    rng = np.random.default_rng(0)
    shapes = [(3, 4), (4,), (4, 6), (6,)], [(6, 5), (5,), (5, 1), (1,)]
    gan = NumpyGAN(*[[rng.normal(size=shape) for shape in s] for s in shapes])
    real_images, z = rng.uniform(-1, 1, (7, 6)), rng.uniform(-1, 1, (7, 3))
    losses = (lambda: gan.d_loss(real_images, z), gan.d.weights), (lambda: gan.g_loss(z), gan.g.weights)
    for loss, weights in losses:
        for weight, gradient in zip(weights, loss()[1], strict=True):
            for at in np.ndindex(weight.shape):
                middle, values = weight[at], []
                for step in (1e-5, -1e-5):
                    weight[at] = middle + step
                    values.append(loss()[0])
                weight[at] = middle
                assert (values[0] - values[1]) / 2e-5 == pytest.approx(gradient[at], abs=1e-8)


# Rounded to float32 whatever the precision of the rest: alpha by TensorFlow, whose operation holds it so; the betas by
# `model_optimizers`, since Keras would round them in one place and not in another.
HELD = {"alpha": HP.alpha, "beta_1": HP.beta_1, "beta_2": HP.beta_2}


def in_float64(model):
    "The same layers and weights, in float64: the package's networks are float32 whatever is set."

    def copy(layer):
        return type(layer).from_config(layer.get_config() | {"dtype": "float64"})

    inputs = keras.Input(model.input_shape[1:], dtype="float64")
    clone = keras.models.clone_model(model, inputs, clone_function=copy)
    clone.set_weights(model.get_weights())
    return clone


def follow_in_float64(images, updates: int = 100) -> None:
    "Print the largest differences of losses and weights as JSON; in a process of its own, for which float64 is set."
    threadpool_limits(1)  # a thread that waits for its turn spins, which costs more than a second one gains
    keras.config.set_floatx("float64")
    gan = GAN(*map(in_float64, build_networks(HP, seed=0)))
    gan.compile(*model_optimizers(HP.learning_rate, HP.beta_1), smooth=HP.smooth)
    first = gan.generator.get_weights(), gan.discriminator.get_weights()
    rows = epoch_order(0, 0, len(images), updates * HP.batch_size).reshape(updates, -1)
    z = [np.float64(latents(0, n, HP.batch_size, HP.z_size)) for n in range(updates)]
    batches = [(images[some] / 127.5 - 1, drawn) for some, drawn in zip(rows, z, strict=True)]
    update = tf.function(gan.update, jit_compile=True)
    losses = [[loss.numpy() for loss in update(*batch)] for batch in batches]
    weights = gan.generator.get_weights() + gan.discriminator.get_weights()

    def differences(**numbers) -> dict[str, float]:
        oracle = NumpyGAN(*first, **numbers)
        theirs = [oracle.update(real.reshape(len(z), -1), z) for real, z in batches]
        found = np.abs(np.subtract(losses, theirs)).max(axis=1)
        pairs = zip(weights, oracle.g.weights + oracle.d.weights, strict=True)
        largest = {n: float(found[:n].max()) for n in (1, 10, 50, updates)}
        return largest | {"weights": float(max(np.abs(ours - theirs).max() for ours, theirs in pairs))}

    held = differences(**{name: rounded_to_float32(value) for name, value in HELD.items()})
    dtypes = sorted({v.dtype for v in gan.state().values()})
    print(json.dumps({"dtypes": dtypes, "as it is held": held, "as it is written": differences()}))


def test_float64_follows_numpy(digits):
    report = json.loads(processes.succeed(follow_in_float64, digits.train.images))
    print("\nfloat64, NumPy: largest difference of a loss up to an update, and of a weight after the last")
    for name in ("as it is held", "as it is written"):
        print(f"  the recipe {name:17}" + "   ".join(f"{n}: {d:.1e}" for n, d in report[name].items()))
    assert report["dtypes"] == ["float64", "int64"]
    assert max(report["as it is held"].values()) <= 1e-8
    # TensorFlow holds alpha in float32, and so do we the betas: NumPy must be told, or it is seen.
    assert max(report["as it is written"].values()) > 1e-7
