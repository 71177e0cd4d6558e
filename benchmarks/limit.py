"""The limit of every comparison: the matrix products of one update, and nothing else, at the speed of NumPy's sgemm."""

import os
import sys

import numpy as np

HOLDS_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # each can keep NumPy from the kernels of its CPU


def unhinder():
    "Start this script anew without the variables that would hold NumPy's matrix products back, if any is set."
    if any(name in os.environ for name in HOLDS_BACK):
        env = {name: value for name, value in os.environ.items() if name not in HOLDS_BACK}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], env)


def products(
    batch=100,  # images of a minibatch
    z_size=100,  # length of a latent vector
    hidden=128,  # width of both hidden layers
    pixels=784,  # of an image
):
    "The nine pairs of matrices that an update multiplies; those of the logits, a thousand times smaller, are left out."
    rng = np.random.default_rng(0)

    def matrix(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    z, h, fake = matrix(batch, z_size), matrix(batch, hidden), matrix(batch, pixels)
    both, both_h = matrix(2 * batch, pixels), matrix(2 * batch, hidden)
    g1, g2, d1 = matrix(z_size, hidden), matrix(hidden, pixels), matrix(pixels, hidden)
    forward_g = [(z, g1), (h, g2)]
    learn_d = [(both, d1), (both.T, both_h)]  # real and fake joined: the fewest products
    judge_fakes = [(fake, d1), (h, d1.T)]  # by the new D, and back to the pixels
    learn_g = [(h.T, fake), (fake, g2.T), (z.T, h)]
    return forward_g + learn_d + judge_fakes + learn_g


def multiply(pairs):
    "Do the products of an update once."
    for left, right in pairs:
        left @ right


def flops(pairs):
    "Multiplications and additions of an update."
    return sum(2 * left.shape[0] * left.shape[1] * right.shape[1] for left, right in pairs)
