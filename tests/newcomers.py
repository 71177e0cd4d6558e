"""What somebody else adds: a loss, a model that is no GAN, a data set, each a function and a line in a registry."""

import numpy as np

from learning_gan.core.backend import keras, own_settings, tf
from learning_gan.parts.data import SOURCES, Dataset, Images
from learning_gan.parts.images import sha256_of
from learning_gan.parts.losses import Loss
from learning_gan.parts.networks import build_networks
from learning_gan.parts.recipes import LOSSES, MODELS
from learning_gan.run.model import GenerativeModel


def slope(critic, images):
    "The mean over a batch of |grad D|^2, summed over pixels (R1 and R2: Mescheder et al. 2018)."
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = tf.reduce_sum(critic(images))
    return tf.reduce_mean(tf.reduce_sum(tape.gradient(logits, images) ** 2, axis=[1, 2, 3]))


def relativistic_d(critic, real, fake, recipe):
    ahead = tf.reduce_mean(tf.nn.softplus(critic(fake) - critic(real)))
    return ahead + recipe.gamma / 2 * (slope(critic, real) + slope(critic, fake))


def relativistic_g(critic, real, fake, recipe):
    return tf.reduce_mean(tf.nn.softplus(critic(real) - critic(fake)))


class Moments(GenerativeModel):
    "No discriminator: each pixel's mean and spread over a minibatch shall be those of real images."

    loss_titles = {"loss": "Loss"}  # noqa: RUF012

    def losses(self, real_images, z, training=False):
        pairs = zip(
            *(tf.nn.moments(x, axes=[0]) for x in (real_images, self(z, training=training))), strict=True
        )
        return (tf.add_n([tf.reduce_mean((one - other) ** 2) for one, other in pairs]),)


def build_moments(hp, seed, image_shape):
    with own_settings():
        model = Moments(build_networks(hp, seed, image_shape)[0], seed or 0)
        model.compile(keras.optimizers.Adam(hp.learning_rate))
    return model


def crosses(data_dir=None, seconds=0):
    "A thousand images of 32×32 in colour, a cross in each."
    rng, images = np.random.default_rng(0), np.zeros((1_000, 32, 32, 3), np.uint8)
    for image, (row, column), colour in zip(
        images, rng.integers(6, 26, (1_000, 2)), rng.integers(99, 256, (1_000, 3)), strict=True
    ):
        image[row - 4 : row + 5, column] = image[row, column - 4 : column + 5] = colour
    return Dataset(Images(images), Images(images[:0]), Images(images[:0]), "crosses", sha256_of(images))


def register():
    "One line each."
    LOSSES["relativistic"] = Loss(relativistic_d, relativistic_g)
    MODELS["moments"] = build_moments
    SOURCES["crosses"] = crosses
