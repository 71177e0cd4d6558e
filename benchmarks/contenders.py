"""The contenders of each race: functions that yield once an epoch how many updates it had.

Those of a race do the same work: its networks and numbers, float32, uint8 images in host memory, shuffled anew each
epoch, fresh latents each update, Adam (epsilon 1e-8), the discriminator's step first and then the generator's with the
same z. Each runs in a process of its own, so that only one library is loaded.
"""

import tempfile
import threading
from dataclasses import replace
from functools import partial

import numpy as np

from learning_gan.parts.data import load_mnist
from learning_gan.parts.recipes import EPOCH_IMAGES, HyperParameters, recipe

OURS, LIMIT = "ours, through train", "limit: matrix products alone"
POST, DCGAN = HyperParameters(), recipe("dcgan")


def digits() -> np.ndarray:
    "As many images as an epoch has, uint8 [55000, 28, 28, 1]."
    images = load_mnist().train.images
    return images[np.arange(EPOCH_IMAGES) % len(images)]


# Ours


def in_turns(train):
    "An epoch a turn of a training run that has a thread of its own; `train` is given the callback that waits."
    from learning_gan.core.backend import keras

    go, done = threading.Semaphore(0), threading.Semaphore(0)

    class Turns(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            go.acquire()

        def on_epoch_end(self, epoch, logs=None):
            float(next(iter(self.model.means().values())))  # all work is done
            done.release()

    threading.Thread(target=train, args=(Turns(),), daemon=True).start()
    while True:
        go.release()
        done.acquire()
        yield


def through_train(hp):
    "The public train, with everything a normal run does: samples, history, checkpoints, the saved generator."
    from learning_gan.run.training import train

    told = replace(hp, epochs=10_000), digits(), tempfile.mkdtemp()
    for _ in in_turns(lambda turns: train(*told, callbacks=(turns,), verbose=False)):
        yield hp.updates_per_epoch


def through_fit(hp):
    "Our updates alone, on the devices that the surroundings name."
    from learning_gan.run.devices import choose_strategy

    strategy = choose_strategy()  # before anything else of TensorFlow
    from learning_gan.parts.minibatches import Minibatches
    from learning_gan.run.recorder import fit_minibatches
    from learning_gan.run.training import build_gan

    with strategy.scope():
        gan = build_gan(hp, seed=0)
    minibatches = Minibatches(digits(), replace(hp, epochs=10_000), 0)
    for _ in in_turns(lambda turns: fit_minibatches(gan, minibatches, callbacks=[turns])):
        yield hp.updates_per_epoch


def by_xla(hp, updates=20):
    "Our update with convolutions, compiled by XLA as those of dense networks are; few, since it may be slow."
    from learning_gan.core.backend import tf
    from learning_gan.parts.inputs import latents
    from learning_gan.run.training import build_gan

    gan, images = build_gan(hp, seed=0), digits()
    update = tf.function(gan.train_minibatch, jit_compile=True, autograph=False)
    while True:
        for number in range(updates):
            real = images[number * hp.batch_size :][: hp.batch_size]
            update(real, latents(0, number, hp.batch_size, hp.z_size))
        yield updates


def a_form(kind, jit, size):
    "An idea of the chapter on training: the update as a class, compiled by XLA or not, so many in a call."
    from learning_gan.core.backend import tf
    from learning_gan.parts.minibatches import Minibatches
    from learning_gan.run.training import GAN, build_gan

    class FakesTwice(GAN):
        "The fakes are made for each of the two losses, as in the post's two session runs."

        def update(self, real_images, z):
            d_loss = self.update_discriminator(real_images, self.fakes(z, training=True))
            with tf.GradientTape() as tape:
                g_loss = self.g_loss(real_images, self.fakes(z, training=True))
            self.step(tape, g_loss, self.generator, self.g_optimizer)
            return d_loss, g_loss

    class LatentsInside(FakesTwice):
        "The latents are drawn inside the compiled program, too."

        def train_step(self, block):
            shape = (*block["images"].shape[:2], POST.z_size)
            return super().train_step(block | {"z": tf.random.stateless_uniform(shape, [0, 0], -1, 1)})

    kinds = {"latents inside": LatentsInside, "fakes twice": FakesTwice}
    hp = recipe("post", epochs=10_000, loss="joined" if kind == "joined" else "non_saturating")
    gan = build_gan(hp, 0, kind=kinds.get(kind, GAN))
    step = tf.function(gan.train_step, jit_compile=jit)
    shape = (1,) if kind == "latents inside" else (hp.z_size,)
    data = iter(Minibatches(digits(), hp, 0, z_shape=shape).blocks(size=size))
    while True:
        for _ in range(hp.updates_per_epoch // size):
            step(next(data))["d_loss"].numpy()
        yield hp.updates_per_epoch


# Others


def graph_2017():
    "The graph as it was written in 2017: two session runs an update with feed_dict."
    from benchmarks import graph2017

    images, rng, graph = digits().reshape(-1, 784), np.random.default_rng(0), graph2017.build_graph()
    with graph2017.tf.Session() as session:
        session.run(graph2017.tf.global_variables_initializer())
        while True:
            for rows in rng.permutation(len(images)).reshape(-1, POST.batch_size):
                z = rng.uniform(-1, 1, (POST.batch_size, POST.z_size))
                real = images[rows] / np.float32(127.5) - 1
                session.run(graph.d_step, {graph.input_real: real, graph.input_z: z})
                session.run(graph.g_step, {graph.input_z: z})
            yield POST.updates_per_epoch


def torch_mlp(nn):
    "The post's networks."
    leaky, units = nn.LeakyReLU(POST.alpha), (POST.g_hidden_size, POST.d_hidden_size)
    g = nn.Linear(POST.z_size, units[0]), leaky, nn.Linear(units[0], 784)
    d = nn.Linear(784, units[1]), leaky, nn.Linear(units[1], 1)
    return nn.Sequential(*g, nn.Tanh(), nn.Unflatten(1, (1, 28, 28))), nn.Sequential(nn.Flatten(), *d)


def torch_dcgan(nn):
    "The networks of the recipe."
    g, d, leaky = DCGAN.g_hidden_size, DCGAN.d_hidden_size, nn.LeakyReLU(DCGAN.alpha)
    up = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)
    down = partial(nn.Conv2d, kernel_size=4, stride=2)
    enlarge = nn.Unflatten(1, (2 * g, 7, 7)), nn.BatchNorm2d(2 * g), nn.ReLU(), up(2 * g, g, bias=False)
    draw = nn.BatchNorm2d(g), nn.ReLU(), up(g, 1), nn.Tanh()
    shrink = down(1, d, padding=1), leaky, down(d, 2 * d, padding=1, bias=False), nn.BatchNorm2d(2 * d), leaky
    last = nn.ZeroPad2d((1, 2, 1, 2)), down(2 * d, 4 * d, bias=False)  # 7 to 4, padded as in TensorFlow
    judge = nn.BatchNorm2d(4 * d), leaky, nn.Flatten(), nn.Linear(64 * d, 8 * d), leaky, nn.Linear(8 * d, 1)
    project = nn.Linear(DCGAN.z_size, 98 * g, bias=False)
    return nn.Sequential(project, *enlarge, *draw), nn.Sequential(*shrink, *last, *judge)


def torch_eager(hp, make_networks, layout="contiguous_format"):
    "PyTorch, Adam in one kernel, the fakes made once an update."
    import torch

    layout, n = getattr(torch, layout), hp.batch_size
    g, d = (network.to(memory_format=layout) for network in make_networks(torch.nn))
    settings = dict(lr=hp.learning_rate, betas=(hp.beta_1, hp.beta_2), eps=1e-8, fused=True)
    d_adam, g_adam = (torch.optim.Adam(network.parameters(), **settings) for network in (d, g))
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    real_label, one, zero = (torch.full((n, 1), x) for x in (1 - hp.smooth, 1.0, 0.0))
    images = torch.from_numpy(digits().transpose(0, 3, 1, 2).copy())
    while True:
        for rows in torch.randperm(len(images)).view(-1, n):
            real = (images[rows].float() / 127.5 - 1).to(memory_format=layout)
            fake = g(torch.rand(n, hp.z_size) * 2 - 1)
            d_adam.zero_grad()
            (cross_entropy(d(real), real_label) + cross_entropy(d(fake.detach()), zero)).backward()
            d_adam.step()
            g_adam.zero_grad()
            cross_entropy(d(fake), one).backward()
            g_adam.step()
        yield hp.updates_per_epoch


def jax_scan():
    "JAX: lax.scan over the updates of an epoch in one compiled call, D over real and fake images apart."
    import jax
    import jax.numpy as jnp
    from jax.example_libraries.optimizers import adam

    hp, keys = POST, jax.random.split(jax.random.key(0), 5)
    start, step, weights_of = adam(hp.learning_rate, hp.beta_1, hp.beta_2, 1e-8)

    def network(keys, *sizes):
        glorot = jax.nn.initializers.glorot_uniform()
        layers = zip(keys, sizes, sizes[1:], strict=False)
        return [(glorot(key, (n, m)), jnp.zeros(m)) for key, n, m in layers]

    def forward(weights, x):
        (w1, b1), (w2, b2) = weights
        return jax.nn.leaky_relu(x @ w1 + b1, hp.alpha) @ w2 + b2

    def cross_entropy(logits, label):
        return jnp.mean(jax.nn.softplus(logits) - logits * label)

    def d_loss(d, real, fake):
        return cross_entropy(forward(d, real), 1 - hp.smooth) + cross_entropy(forward(d, fake), 0)

    def update(carry, pixels, z):
        g, d, i = carry
        real = pixels.astype(jnp.float32) / 127.5 - 1
        fake, back = jax.vjp(lambda w: jnp.tanh(forward(w, z)), weights_of(g))
        d = step(i, jax.grad(d_loss)(weights_of(d), real, fake), d)
        to_fake = jax.grad(lambda fake: cross_entropy(forward(weights_of(d), fake), 1.0))(fake)
        return (step(i, back(to_fake)[0], g), d, i + 1), None

    @jax.jit
    def epoch(carry, key, images):
        order, latent = jax.random.split(key)
        rows = jax.random.permutation(order, len(images)).reshape(-1, hp.batch_size)
        z = jax.random.uniform(latent, (*rows.shape, hp.z_size), minval=-1, maxval=1)
        return jax.lax.scan(lambda c, b: update(c, images[b[0]], b[1]), carry, (rows, z))[0]

    d, g = network(keys[:2], 784, hp.d_hidden_size, 1), network(keys[2:4], hp.z_size, hp.g_hidden_size, 784)
    carry, key, images = (start(g), start(d), 0), keys[4], jnp.asarray(digits().reshape(-1, 784))
    while True:
        key, now = jax.random.split(key)
        carry = jax.block_until_ready(epoch(carry, now, images))
        yield hp.updates_per_epoch


# The limit


def layer(rows, n, m, learns=True, back=True):
    "The shapes of a layer's products: forward, then the gradients of the kernel and of the input where they are needed."
    return [(rows, n, m), *([(n, rows, m)] if learns else []), *([(rows, m, n)] if back else [])]


def mlp_products(hp):
    "The products of an update, as (rows, inner, columns); those of the logits, a thousand times smaller, are left out."
    n, hidden, pixels = hp.batch_size, hp.g_hidden_size, 784
    generator = layer(n, hp.z_size, hidden, back=False) + layer(n, hidden, pixels)
    learn_d = layer(2 * n, pixels, hidden, back=False)  # real and fake joined: the fewest products
    return generator + learn_d + layer(n, pixels, hidden, learns=False)


def dcgan_products(hp):
    "The same, each convolution unfolded."
    n, g, d = hp.batch_size, hp.g_hidden_size, hp.d_hidden_size

    def judge(n, learns, pixels):
        shrink = layer(n * 196, 16, d, learns, back=pixels) + layer(n * 49, 16 * d, 2 * d, learns)
        return shrink + layer(n * 16, 32 * d, 4 * d, learns) + layer(n, 64 * d, 8 * d, learns)

    enlarge = layer(n * 49, 2 * g, 16 * g) + layer(n * 196, g, 16)
    generator = layer(n, hp.z_size, 98 * g, back=False) + enlarge
    return generator + judge(2 * n, learns=True, pixels=False) + judge(n, learns=False, pixels=True)


def multiplied(hp, products=mlp_products):
    "Nothing but the matrix products of an update, at the speed of NumPy's."
    rng = np.random.default_rng(0)
    pairs = [[rng.standard_normal(s, dtype=np.float32) for s in ((n, k), (k, m))] for n, k, m in products(hp)]
    while True:
        for _ in range(hp.updates_per_epoch):
            for left, right in pairs:
                left @ right
        yield hp.updates_per_epoch


# The races


def grown(**changes):
    "Our update and its limit where something has grown."
    hp = recipe("post", **changes)
    return {OURS: partial(through_fit, hp), LIMIT: partial(multiplied, hp)}


CORES = {"one process, one core": (1,), "one process, two cores": (2,), "two processes, a core each": (1, 1)}
IDEAS = {  # from the plainest to ours, and one that did not help: what differs, compiled by XLA, updates in a call
    "a graph function an update": ("latents inside", False, 1),
    "compiled by XLA": ("latents inside", True, 1),
    "blocks of 50 updates": ("latents inside", True, 50),
    "latents drawn outside the program": ("fakes twice", True, 50),
    "fakes made once an update": ("ours", True, 50),
    "real and fake joined, not kept": ("joined", True, 50),
}
RACES = {
    "post": {
        OURS: partial(through_train, POST),
        "2017 graph": graph_2017,
        "PyTorch": partial(torch_eager, POST, torch_mlp),
        "JAX": jax_scan,
        LIMIT: partial(multiplied, POST),
    },
    "dcgan": {
        OURS: partial(through_train, DCGAN),
        "ours, compiled by XLA": partial(by_xla, DCGAN),
        "PyTorch, channels first": partial(torch_eager, DCGAN, torch_dcgan),
        "PyTorch, channels last": partial(torch_eager, DCGAN, torch_dcgan, "channels_last"),
        LIMIT: partial(multiplied, DCGAN, dcgan_products),
    },
    "ideas": {name: partial(a_form, *how) for name, how in IDEAS.items()}
    | {LIMIT: partial(multiplied, POST)},
}
RACES |= {f"scaling batch {n}": grown(batch_size=n) for n in (10, 25, 50, 100, 200, 400, 800)}
WIDTHS = (128, 256, 512, 1024, 2048, 4096)
RACES |= {f"scaling width {n}": grown(g_hidden_size=n, d_hidden_size=n) for n in WIDTHS}
RACES |= {
    f"devices {name} {n}": dict.fromkeys(CORES, partial(through_fit, recipe(name, batch_size=n)))
    for name, n in (("post", 100), ("post", 1_000), ("post", 10_000), ("dcgan", 100))
}
