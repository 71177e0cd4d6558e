"""The contenders of the race `dcgan` of train_speed.py: the recipe `dcgan`, trained in six ways.

Every contender does the same work: the networks and the numbers of the recipe, float32, uint8 images in host memory,
shuffled anew each epoch, fresh latents each update, Adam (epsilon 1e-8), the discriminator's step first and then the
generator's. The average of the weights is kept by ours alone, which pays for it.
"""

import numpy as np
from contenders import keras_fit, multiplied, through_train, torch_epochs

from learning_gan.recipe import recipe

HP = recipe("dcgan")
BATCH, Z, G_FILTERS, D_FILTERS = HP.batch_size, HP.z_size, HP.g_hidden_size, HP.d_hidden_size
SLOW = 20  # updates a turn, of what may be many times as slow as the rest


def ours(images):
    "The public train, with everything a normal run does."
    yield from through_train(images, recipe="dcgan")


def ours_by_xla(images):
    "Our update, compiled by XLA as those of dense networks are."
    from learning_gan.backend import tf
    from learning_gan.inputs import latents
    from learning_gan.training import build_gan

    gan = build_gan(HP, seed=0)
    update = tf.function(gan.train_minibatch, jit_compile=True, autograph=False)
    while True:
        for number in range(SLOW):
            update(images[number * BATCH :][:BATCH], latents(0, number, BATCH, Z))
        yield SLOW


def keras_example(images):
    "Keras fit, the way of its examples: real and fake joined, two passes of each network."
    from learning_gan.network import build_networks

    networks = build_networks(HP, seed=0)
    yield from keras_fit(images, networks, HP.learning_rate, HP.beta_1, BATCH, Z, jit_compile=False)


def _torch_networks():
    from torch import nn

    def first(layer):
        nn.init.normal_(layer.weight, std=0.02)
        return layer

    def up(n, m, bias=False):
        return first(nn.ConvTranspose2d(n, m, 4, 2, 1, bias=bias))

    def down(n, m, bias=False):
        return first(nn.Conv2d(n, m, 4, 2, 1, bias=bias))

    def judged(n):
        "One halving more, with twice the filters; from 7 to 4 it takes one more row and column, as TensorFlow does."
        pad = nn.ZeroPad2d((0, 1, 0, 1)) if n == 2 * D_FILTERS else nn.Identity()
        return pad, down(n, 2 * n), nn.BatchNorm2d(2 * n), nn.LeakyReLU(HP.alpha)

    wide = 2 * G_FILTERS
    project = first(nn.Linear(Z, 49 * wide, bias=False)), nn.Unflatten(1, (wide, 7, 7))
    enlarge = nn.BatchNorm2d(wide), nn.ReLU(), up(wide, G_FILTERS), nn.BatchNorm2d(G_FILTERS), nn.ReLU()
    shrink = down(1, D_FILTERS, bias=True), nn.LeakyReLU(HP.alpha), *judged(D_FILTERS), *judged(2 * D_FILTERS)
    dense = nn.Flatten(), first(nn.Linear(64 * D_FILTERS, 8 * D_FILTERS)), nn.LeakyReLU(HP.alpha)
    judge = *dense, first(nn.Linear(8 * D_FILTERS, 1))
    generator = nn.Sequential(*project, *enlarge, up(G_FILTERS, 1, bias=True), nn.Tanh())
    return generator, nn.Sequential(*shrink, *judge)


def _torch(images, layout):
    import torch
    from torch import nn

    g, d = (network.to(memory_format=layout) for network in _torch_networks())
    settings = dict(lr=HP.learning_rate, betas=(HP.beta_1, 0.999), eps=1e-8, fused=True)
    adams = [torch.optim.Adam(net.parameters(), **settings) for net in (d, g)]
    cross_entropy = nn.functional.binary_cross_entropy_with_logits
    real_label, one, zero = (torch.full((BATCH, 1), label) for label in (1 - HP.smooth, 1.0, 0.0))

    def update(real, z):
        fake = g(z)
        adams[0].zero_grad()
        real = real.to(memory_format=layout)
        (cross_entropy(d(real), real_label) + cross_entropy(d(fake.detach()), zero)).backward()
        adams[0].step()
        adams[1].zero_grad()
        cross_entropy(d(fake), one).backward()
        adams[1].step()

    yield from torch_epochs(images.transpose(0, 3, 1, 2), update, BATCH, Z)


def torch_channels_first(images):
    "PyTorch, eager, Adam in one kernel, the fakes made once an update, channels first."
    import torch

    yield from _torch(images, torch.contiguous_format)


def torch_channels_last(images):
    "The same with channels last."
    import torch

    yield from _torch(images, torch.channels_last)


def products():
    "The matrices that an update multiplies, each convolution unfolded; those of the logits are left out."
    rng = np.random.default_rng(0)

    def matrix(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    def layer(rows, n, m, learns=True, back=True):
        "Forward, then the gradients of the kernel and of the input where they are needed."
        x, kernel, y = matrix(rows, n), matrix(n, m), matrix(rows, m)
        return [(x, kernel), *([(x.T, y)] if learns else []), *([(y, kernel.T)] if back else [])]

    def judge(images, learns, pixels):
        first = layer(images * 196, 16, D_FILTERS, learns, back=pixels)
        second = layer(images * 49, 16 * D_FILTERS, 2 * D_FILTERS, learns)
        third = layer(images * 16, 32 * D_FILTERS, 4 * D_FILTERS, learns)
        return first + second + third + layer(images, 64 * D_FILTERS, 8 * D_FILTERS, learns)

    enlarge = layer(BATCH * 49, 2 * G_FILTERS, 16 * G_FILTERS) + layer(BATCH * 196, G_FILTERS, 16)
    generator = layer(BATCH, Z, 49 * 2 * G_FILTERS, back=False) + enlarge
    return generator + judge(2 * BATCH, learns=True, pixels=False) + judge(BATCH, learns=False, pixels=True)


def matmul_limit(images):
    "The limit: nothing but the matrix products of an update."
    yield from multiplied(products())


CONTENDERS = {
    "ours, through train": ours,
    "ours, compiled by XLA": ours_by_xla,
    "Keras example": keras_example,
    "PyTorch, channels first": torch_channels_first,
    "PyTorch, channels last": torch_channels_last,
    "limit: matrix products alone": matmul_limit,
}
