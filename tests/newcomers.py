"""An architecture, a data source and a loss from outside, each a value with a name; run as a command, it knows them all.

`python newcomers.py train --out RUN ...` is `learning_gan_train`, and so on.
"""

import sys

import numpy as np

from learning_gan.data import SOURCES, Dataset, Images, sha256_of
from learning_gan.recipe import ARCHITECTURES, LOSSES


def small_convolutions(hp, image_shape, seed):
    "Convolutions with batch normalisation, for images of any size that four divides."
    from learning_gan.backend import keras
    from learning_gan.generator import split_seed

    height, width, channels = image_shape
    layers, seeds = keras.layers, iter(split_seed(seed, 5))

    def kernel():
        return keras.initializers.GlorotUniform(next(seeds))

    z = keras.Input((hp.z_size,), name="input_z")
    x = layers.Dense(height * width // 16 * hp.g_hidden_size, kernel_initializer=kernel(), name="seeds")(z)
    x = layers.Reshape((height // 4, width // 4, hp.g_hidden_size), name="grid")(x)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2DTranspose(channels, 4, 4, activation="tanh", kernel_initializer=kernel(), name="images")(
        x
    )
    image = keras.Input(image_shape, name="input_real")
    y = layers.Conv2D(hp.d_hidden_size, 4, 4, kernel_initializer=kernel(), name="down")(image)
    y = layers.Flatten(name="flat")(
        layers.LeakyReLU(0.2, name="leaky")(layers.BatchNormalization(name="norm")(y))
    )
    logits = layers.Dense(1, kernel_initializer=kernel(), name="logits")(y)
    return keras.Model(z, x, name="generator"), keras.Model(image, logits, name="discriminator")


def crosses(data_dir=None, seconds=0):
    "A thousand grey images of 32x32, a cross in each."
    rng, images = np.random.default_rng(0), np.zeros((1_000, 32, 32, 1), np.uint8)
    for image, (row, column) in zip(images, rng.integers(6, 26, (1_000, 2)), strict=True):
        image[row - 4 : row + 5, column] = image[row, column - 4 : column + 5] = 255
    return Dataset(Images(images), Images(images[:0]), Images(images[:0]), "crosses", sha256_of(images))


def least_squares():
    "Mao et al. 2017."
    from learning_gan.backend import tf
    from learning_gan.losses import Loss

    def discriminator(real_logits, fake_logits, smooth):
        return tf.reduce_mean((real_logits - (1 - smooth)) ** 2) + tf.reduce_mean(fake_logits**2)

    return Loss(discriminator, lambda fake_logits: tf.reduce_mean((fake_logits - 1) ** 2))


def register():
    "One line each."
    ARCHITECTURES["small_convolutions"] = small_convolutions
    SOURCES["crosses"] = crosses
    LOSSES["least_squares"] = least_squares()


if __name__ == "__main__":
    from learning_gan import cli

    register()
    getattr(cli, f"{sys.argv[1]}_command")(sys.argv[2:])
