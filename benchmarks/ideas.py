"""What each idea of chapter 17 gains: the same update from the plainest form to ours, side by side.

`make bench-ideas`, about three minutes. All forms take turns in one process, an epoch each a round, in another order
each round, so that none is always measured after the same one. Prints a table and writes
nbs/results/train_ideas.json, which chapter 17 shows.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from limit import multiply, products, unhinder

from learning_gan.backend import tf
from learning_gan.data import load_mnist
from learning_gan.losses import discriminator_loss
from learning_gan.network import build_networks
from learning_gan.optimizers import model_optimizers
from learning_gan.recipe import HyperParameters
from learning_gan.studies import provenance, save_study
from learning_gan.training import GAN, Minibatches

RESULT = Path(__file__).parent.parent / "nbs" / "results" / "train_ideas.json"
HP = HyperParameters()


class Joined(GAN):
    "The discriminator passes over real and fake images together."

    def d_loss(self, real_images, fake_images, training=True):
        logits = self.discriminator(tf.concat([real_images, fake_images], axis=0), training=training)[1]
        return discriminator_loss(*tf.split(logits, 2), self.smooth)


class FakesTwice(GAN):
    "The fakes are made for each of the two losses, as in the post's two session runs."

    def update(self, real_images, z):
        d_loss = self.update_discriminator(real_images, self.generator(z, training=True))
        with tf.GradientTape() as tape:
            g_loss = self.g_loss(self.generator(z, training=True))
        variables = self.generator.trainable_variables
        self.g_optimizer.apply(tape.gradient(g_loss, variables), variables)
        return d_loss, g_loss


class LatentsInside(FakesTwice):
    "The latents are drawn inside the compiled program, too."

    def train_step(self, block):
        shape = (*block["images"].shape[:2], HP.z_size)
        return super().train_step(block | {"z": tf.random.stateless_uniform(shape, [0, 0], -1, 1)})


FORMS = {  # from the plainest to ours, and one that did not help: name, class, compiled by XLA, updates in a call
    "a graph function an update": (LatentsInside, False, 1),
    "compiled by XLA": (LatentsInside, True, 1),
    "blocks of 50 updates": (LatentsInside, True, 50),
    "latents drawn outside the program": (FakesTwice, True, 50),
    "fakes made once an update": (GAN, True, 50),
    "real and fake joined, not kept": (Joined, True, 50),
}


def form(cls, jit, size, images):
    "A function that does an epoch in this form."
    gan = cls(*build_networks(HP, seed=0))
    gan.compile(*model_optimizers(HP.learning_rate, HP.beta_1), smooth=HP.smooth)
    step = tf.function(gan.train_step, jit_compile=jit)
    drawn_outside = replace(HP, z_size=1) if cls is LatentsInside else HP
    data = iter(Minibatches(images, drawn_outside, seed=0).blocks(size=size))

    def epoch():
        for _ in range(HP.updates_per_epoch // size):
            step(next(data))["d_loss"].numpy()

    return epoch


def limit():
    pairs = products(HP.batch_size, HP.z_size, HP.g_hidden_size, HP.input_size)

    def epoch():
        for _ in range(HP.updates_per_epoch):
            multiply(pairs)

    return epoch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="counted epochs of each form")
    rounds = parser.parse_args().rounds
    unhinder()
    images = load_mnist().train.images
    epochs = {name: form(*how, images) for name, how in FORMS.items()} | {
        "the matrix products alone": limit()
    }
    times = {name: [] for name in epochs}
    order = np.random.default_rng(0)
    for counted in [False] + [True] * rounds:
        for name in order.permutation(list(epochs)):
            start = time.perf_counter()
            epochs[name]()
            if counted:
                times[name].append((time.perf_counter() - start) / HP.updates_per_epoch * 1e3)
    print("| | ms an update | of the first |\n|---|---|---|")
    first = np.median(next(iter(times.values())))
    for name, ms in times.items():
        print(f"| {name} | {np.median(ms):.2f} | {np.median(ms) / first:.2f} |")
    save_study(RESULT, provenance("make bench-ideas"), ms_per_update=times)


if __name__ == "__main__":
    main()
