"""The losses of chapter 33: values known on paper, and what they refuse."""

import numpy as np
import processes
import pytest

from learning_gan.core.backend import tf
from learning_gan.parts.recipes import LOSSES, recipe

RNG = np.random.default_rng(0)
REAL, FAKE, W = (RNG.normal(size=shape) for shape in ((5, 4, 3, 2), (5, 4, 3, 2), (24, 1)))
HP = recipe("stacked", gamma=0.7)


def critic(images):
    "Linear in the pixels: its gradient is W everywhere."
    return tf.reshape(images, (-1, 24)) @ W


def softplus(x):
    return np.logaddexp(0, x).mean()


R, F, STEEP = critic(REAL).numpy(), critic(FAKE).numpy(), (W**2).sum()
NON_SATURATING = softplus(-R) + softplus(F), softplus(-F)
IN_PAIRS = softplus(F - R), softplus(R - F)
ON_PAPER = {  # (d_loss, g_loss) without the penalty, and the penalty
    "r1": (NON_SATURATING, 0.35 * STEEP),
    "r1_r2": (NON_SATURATING, 0.7 * STEEP),
    "r1_relativistic": (IN_PAIRS, 0.35 * STEEP),
    "r3": (IN_PAIRS, 0.7 * STEEP),
    "wgan_gp": ((F.mean() - R.mean(), -F.mean()), 0.7 * (STEEP**0.5 - 1) ** 2),
    "least_squares": ((((R - 1) ** 2 + F**2).mean() / 2, ((F - 1) ** 2).mean() / 2), 0),
    "hinge": ((np.maximum(0, 1 - R).mean() + np.maximum(0, 1 + F).mean(), -F.mean()), 0),
}


@pytest.mark.parametrize("name", ON_PAPER)
def test_a_loss_is_as_on_paper(name):
    loss, ((d_loss, g_loss), penalty) = LOSSES.find(name), ON_PAPER[name]
    images = tf.constant(REAL), tf.constant(FAKE)
    np.testing.assert_allclose(loss.discriminator(critic, *images, HP), d_loss + penalty, rtol=1e-6)
    np.testing.assert_allclose(loss.generator(critic, *images, HP), g_loss, rtol=1e-6)
    if loss.equilibrium:  # where D says the same of all: 0, or 1/2 for squares of distances to labels
        flat = tf.constant(0.5 if name == "least_squares" else 0.0, tf.float64)
        both = loss.discriminator, loss.generator
        nobody_can_tell = [f(lambda x: 0 * critic(x) + flat, *images, HP) for f in both]
        np.testing.assert_allclose(nobody_can_tell, loss.equilibrium(HP), rtol=1e-6)


def test_batch_normalisation_in_the_discriminator_and_a_negative_gamma_are_refused_in_a_line(tmp_path):
    words = ["train", "--data", "embedded", "--out", tmp_path / "no", "--loss", "r3"]
    said = processes.refused(*words, "--recipe", "dcgan")
    assert "r3" in said and "batch normalisation in the discriminator" in said
    assert "gamma must be a number from 0" in processes.refused(*words, "--gamma", -1)
    assert not (tmp_path / "no").exists()
