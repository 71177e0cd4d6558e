"""The contenders of each race: functions that yield once a turn how many updates it had, an epoch or fewer.

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

OURS, FIT, LIMIT = "ours, through train", "ours", "limit: matrix products alone"
POST, DCGAN = HyperParameters(), recipe("dcgan")


def digits(side=28, count=EPOCH_IMAGES) -> np.ndarray:
    "As many images as an epoch has, or so many, uint8 [count, side, side, 1]; larger ones repeat pixels."
    pixels = np.arange(side) * 28 // side
    images = load_mnist().train.images[:, pixels][:, :, pixels]
    return images[np.arange(count) % len(images)]


# Ours


def in_turns(train, epochs=1):
    "So many epochs a turn of a training run that has a thread of its own; `train` is given the callback that waits."
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
        for _ in range(epochs):
            go.release()
            done.acquire()
        yield


def through_train(hp, epochs=1):
    "The public train, with everything a normal run does: samples, history, checkpoints, the saved generator."
    from learning_gan.run.training import train

    told = replace(hp, epochs=10_000), digits(), tempfile.mkdtemp()
    for _ in in_turns(lambda turns: train(*told, callbacks=(turns,), verbose=False), epochs):
        yield epochs * hp.updates_per_epoch


def through_fit(hp, updates=0, side=28):
    "Our updates alone, an epoch of them or so many, on the devices that the surroundings name."
    from learning_gan.run.devices import choose_strategy

    strategy = choose_strategy()  # before anything else of TensorFlow
    from learning_gan.parts.minibatches import Minibatches
    from learning_gan.run.recorder import fit_minibatches
    from learning_gan.run.training import build_gan

    with strategy.scope():
        gan = build_gan(hp, seed=0, image_shape=(side, side, 1))
    updates = updates or hp.updates_per_epoch
    minibatches = Minibatches(
        digits(side), replace(hp, epochs=10_000), 0, epoch_images=updates * hp.batch_size
    )
    for _ in in_turns(lambda turns: fit_minibatches(gan, minibatches, callbacks=[turns])):
        yield updates


def from_file(hp, count, held, updates):
    "Our updates on so many images in a file: read into memory before, or block by block while training."
    from learning_gan.core.backend import tf
    from learning_gan.parts.inputs import latent_block
    from learning_gan.parts.minibatches import Minibatches
    from learning_gan.run.training import build_gan

    path, n = f"{tempfile.mkdtemp()}/images", hp.batch_size
    with open(path, "wb") as file:
        for start in range(0, count, 100_000):
            file.write(digits(count=min(100_000, count - start)).tobytes())
    hp = replace(hp, epochs=10_000)
    gan = build_gan(hp, seed=0)
    step = tf.function(gan.train_step, jit_compile=True)

    def block(i, images):
        z = latent_block(0, 50 * i, 50, n, hp.z_size)
        return {"z": z, "images": tf.reshape(tf.io.decode_raw(images, tf.uint8), (50, n, 28, 28, 1))}

    if held:
        blocks = Minibatches(np.fromfile(path, np.uint8).reshape(-1, 28, 28, 1), hp, 0).blocks()
    else:
        records = tf.data.FixedLengthRecordDataset(path, 784).repeat().shuffle(10_000)
        blocks = records.batch(50 * n, drop_remainder=True).enumerate().map(block).prefetch(2)
    blocks = iter(blocks)
    while True:
        for _ in range(updates // 50):
            step(next(blocks))["d_loss"].numpy()
        yield updates


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


def torch_eager(hp, make_networks, layout="contiguous_format", updates=0, compiled=False):
    "PyTorch, Adam in one kernel, the fakes made once an update; an epoch or so many updates a turn."
    import torch

    layout, n = getattr(torch, layout), hp.batch_size
    g, d = (network.to(memory_format=layout) for network in make_networks(torch.nn))
    g, d = map(torch.compile, (g, d)) if compiled else (g, d)
    settings = dict(lr=hp.learning_rate, betas=(hp.beta_1, hp.beta_2), eps=1e-8, fused=True)
    d_adam, g_adam = (torch.optim.Adam(network.parameters(), **settings) for network in (d, g))
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    real_label, one, zero = (torch.full((n, 1), x) for x in (1 - hp.smooth, 1.0, 0.0))
    images = torch.from_numpy(digits().transpose(0, 3, 1, 2).copy())
    while True:
        for rows in torch.randperm(len(images)).view(-1, n)[: updates or None]:
            real = (images[rows].float() / 127.5 - 1).to(memory_format=layout)
            fake = g(torch.rand(n, hp.z_size) * 2 - 1)
            d_adam.zero_grad()
            (cross_entropy(d(real), real_label) + cross_entropy(d(fake.detach()), zero)).backward()
            d_adam.step()
            g_adam.zero_grad()
            cross_entropy(d(fake), one).backward()
            g_adam.step()
        yield updates or hp.updates_per_epoch


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


def multiplied(hp, products=mlp_products, updates=0):
    "Nothing but the matrix products of an update, at the speed of NumPy's."
    rng = np.random.default_rng(0)
    pairs = [[rng.standard_normal(s, dtype=np.float32) for s in ((n, k), (k, m))] for n, k, m in products(hp)]
    updates = updates or hp.updates_per_epoch
    while True:
        for _ in range(updates):
            for left, right in pairs:
                left @ right
        yield updates


# The races


def grown(**changes):
    "Our update and its limit where something has grown: about as much work a turn whatever the size."
    hp = recipe("post", **changes)
    cost = hp.batch_size * (hp.g_hidden_size + 100)
    updates = int(np.clip(550 * 100 * 228 / cost, 20, 1_000))
    return {FIT: partial(through_fit, hp, updates), LIMIT: partial(multiplied, hp, updates=updates)}


def penalised(name, updates, **changes):
    "Our update with a loss that has no gradient penalty, and with those that have one."
    losses = {"no penalty": "non_saturating"} | {loss: loss for loss in ("r1", "r1_r2", "r3", "wgan_gp")}
    hp = {title: recipe(name, loss=loss, **changes) for title, loss in losses.items()}
    return {title: partial(through_fit, hp, updates) for title, hp in hp.items()}


CORES = {"one process, one core": (1,), "one process, two cores": (2,), "two processes, a core each": (1, 1)}
ON = CORES | dict.fromkeys(("ours, one core", "limit, one core"), (1,))
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
        "PyTorch, torch.compile": partial(torch_eager, POST, torch_mlp, compiled=True),
        "JAX": jax_scan,
        LIMIT: partial(multiplied, POST),
        "ours, one core": partial(through_train, POST),
        "limit, one core": partial(multiplied, POST),
    },
    "dcgan": {
        FIT: partial(through_fit, DCGAN, 50),
        "ours, compiled by XLA": partial(by_xla, DCGAN),
        "PyTorch, channels first": partial(torch_eager, DCGAN, torch_dcgan, updates=50),
        "PyTorch, channels last": partial(torch_eager, DCGAN, torch_dcgan, "channels_last", 50),
        LIMIT: partial(multiplied, DCGAN, dcgan_products, 50),
    },
    "ideas": {name: partial(a_form, *how) for name, how in IDEAS.items()}
    | {LIMIT: partial(multiplied, POST)},
    "penalties post": penalised("post", 250),
    "penalties stacked": penalised("stacked", 20),
}
RACES |= {f"scaling batch {n}": grown(batch_size=n) for n in (10, 30, 100, 300, 1_000)}
RACES |= {f"scaling width {n}": grown(g_hidden_size=n, d_hidden_size=n) for n in (128, 512, 2_048)}
RACES |= {
    f"scaling side {side}": {
        name: partial(through_fit, recipe(name), updates, side)
        for name, updates in (("post", 250), ("dcgan", 20))
    }
    for side in (28, 32, 64)
}
RACES |= {
    f"scaling data {count}": {
        name: partial(from_file, POST, count, held, 2_500)
        for name, held in (("held", True), ("streamed", False))
    }
    for count in (10_000, 100_000, 1_000_000)
}
RACES["scaling epochs"] = {f"{n} a turn": partial(through_train, POST, n) for n in (1, 8)}
RACES |= {
    f"devices {name} {n}": dict.fromkeys(CORES, partial(through_fit, recipe(name, batch_size=n), updates))
    for name, n, updates in (("post", 100, 550), ("post", 1_000, 50), ("post", 10_000, 5), ("dcgan", 100, 20))
}
