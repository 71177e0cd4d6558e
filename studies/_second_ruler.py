"""Another ruler of digits, for a second opinion: other layers, and none of the images that taught the first one.

It has learnt from the 15,000 images of MNIST's training set that learning_gan/classifier.npz never saw: the last 10,000
training images and the 5,000 for validation. So no image has taught both, and the test images, which everything is
compared with, have taught neither. Its floor is of the 45,000 training images that it has never seen. Its features are
what a layer of 64 gives before the ReLU, each of mean 0 and variance 1 on what it has learnt. `python -m
studies._second_ruler` trains it anew, a minute, and prints the SHA-256 to pin.
"""

import hashlib
from functools import cache

import numpy as np

from learning_gan.core.backend import keras, own_settings, tf
from learning_gan.core.files import atomic_path
from learning_gan.measure.measures import (
    RULER_IMAGES,
    Ruler,
    check_images,
    frechet_distance,
    neighbour_radii,
    neighbour_scores,
)
from learning_gan.trials.studies import PACKAGE
from studies import SEED, mnist

FILE = "../nbs/results/second_ruler.npz"
SHA256 = "f48448d36fbbc21c1bd78f5e56cf43abae2d961b1ba85e22a0d6297c0fe8e5f1"
EPOCHS, BATCH_SIZE = 10, 100


def build() -> keras.Model:
    'Strided convolutions: from images [n, 28, 28, 1] to {"features": [n, 64], "logits": [n, 10]}.'
    layers = keras.layers
    x = image = keras.Input((28, 28, 1), name="image")
    for filters in (16, 32, 64):  # [n, 14, 14, 16], [n, 7, 7, 32], [n, 4, 4, 64]
        x = layers.Conv2D(filters, 4, strides=2, padding="same", use_bias=False, name=f"conv{filters}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"norm{filters}")(x))
    x = layers.Dense(64, use_bias=False, name="dense")(layers.Flatten()(x))
    features = layers.BatchNormalization(center=False, scale=False, name="features")(x)
    logits = layers.Dense(10, name="logits")(layers.Dropout(0.3)(layers.ReLU()(features)))
    return keras.Model(image, {"features": features, "logits": logits}, name="second_ruler")


SECOND = Ruler(FILE, SHA256, build, bias=540.0)


def train() -> None:
    "Train it, and write its file."
    data = mnist()
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    parts = data.train[RULER_IMAGES:], data.validation
    images = check_images(np.concatenate([part.images for part in parts]))
    labels = np.concatenate([part.labels for part in parts])
    with own_settings(mixed=False):
        ruler = build()
        model = keras.Model(ruler.inputs, ruler.output["logits"])
        rate = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * len(images) // BATCH_SIZE)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
        model.fit(images, labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=2)
        for name, part in {"unseen training": data.train[:RULER_IMAGES], "test": data.test}.items():
            score = model.evaluate(check_images(part.images), part.labels, batch_size=1_000, verbose=0)
            print(f"accuracy: {score[1]:.2%} of {name} images")
    path = PACKAGE / FILE
    with atomic_path(path) as temporary:
        np.savez(temporary, **{weight.path: weight.numpy() for weight in ruler.weights})
    print(f'SHA256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"')


@cache
def _test(n: int):
    "What it sees in n test images, and how far their neighbours are."
    images = mnist().test.images
    features = SECOND.see(images[np.random.default_rng(SEED).permutation(len(images))[:n]])[0]
    return features, neighbour_radii(features)


def second(images: np.ndarray) -> dict:
    "Fréchet distance, precision, recall, density and coverage by the second ruler, against as many test images."
    (real, radii), features = _test(len(images)), SECOND.see(images)[0]
    near = neighbour_scores(real, features, real_radii=radii)
    return {"frechet": frechet_distance(real, features)} | near


def floor(n: int = 10_000, draw: int = 0) -> dict:
    "The same for n real images that it has never seen, drawn from MNIST's first 45,000."
    order = np.random.default_rng([draw, 1]).permutation(RULER_IMAGES)
    return second(mnist().train.images[order[:n]])


if __name__ == "__main__":
    train()
