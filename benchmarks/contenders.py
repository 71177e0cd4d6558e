"""The contenders of train_speed.py: the post's GAN, trained in seven ways, each a generator that yields once an epoch.

Every contender does the same work: 784-128-1 against 100-128-784, float32, batch 100, 550 updates an epoch, uint8
images in host memory, shuffled anew each epoch, fresh latents each update, Adam (0.002, beta_1 0.9, epsilon 1e-8),
the discriminator's step first and then the generator's with the same z. Each runs in a process of its own, so that
only one library is loaded and no contender sees another's threads.
"""

import os

import numpy as np
from limit import multiply, products

BATCH, Z, HIDDEN, PIXELS, UPDATES = 100, 100, 128, 784, 550
ALPHA, SMOOTH, RATE = 0.01, 0.1, 0.002


def through_train(images, recipe="post"):
    "A turn of the public train an epoch."
    import tempfile
    import threading

    from learning_gan.backend import keras
    from learning_gan.recipe import recipe as named
    from learning_gan.training import train

    go, done = threading.Semaphore(0), threading.Semaphore(0)

    class Turns(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            go.acquire()

        def on_epoch_end(self, epoch, logs=None):
            done.release()

    hp = named(recipe, epochs=10_000)
    arguments = hp, images, tempfile.mkdtemp()
    options = {"callbacks": [Turns()], "verbose": False}
    threading.Thread(target=train, args=arguments, kwargs=options, daemon=True).start()
    while True:
        go.release()
        done.acquire()
        yield hp.updates_per_epoch


def ours(images):
    "The public train, with everything a normal run does: samples, history, checkpoints, the saved generator."
    yield from through_train(images)


def _keras_models():
    from learning_gan.backend import keras

    z, x = keras.Input((Z,)), keras.Input((PIXELS,))
    h = keras.layers.LeakyReLU(negative_slope=ALPHA)(keras.layers.Dense(HIDDEN)(z))
    generator = keras.Model(z, keras.layers.Dense(PIXELS, activation="tanh")(h))
    h = keras.layers.LeakyReLU(negative_slope=ALPHA)(keras.layers.Dense(HIDDEN)(x))
    return generator, keras.Model(x, keras.layers.Dense(1)(h))


def _keras_example_gan(networks, rate, beta_1, batch, z_size):
    "A GAN in the manner of Keras's examples: train_step takes a minibatch, draws z, and makes two passes of each."
    from learning_gan.backend import keras, tf

    class ExampleGAN(keras.Model):
        def __init__(self):
            super().__init__()
            self.generator, self.discriminator = networks
            self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
            self.d_tracker, self.g_tracker = keras.metrics.Mean("d_loss"), keras.metrics.Mean("g_loss")

        def compile(self, **kwargs):
            super().compile(**kwargs)
            adam = keras.optimizers.Adam
            self.d_optimizer, self.g_optimizer = (adam(rate, beta_1, epsilon=1e-8) for _ in range(2))

        def train_step(self, real):
            z = tf.random.uniform((batch, z_size), -1, 1)
            real = tf.cast(real, "float32") / 127.5 - 1
            with tf.GradientTape() as tape:
                fake = self.generator(z, training=True)
                logits = self.discriminator(tf.concat([real, fake], 0), training=True)
                labels = tf.concat([tf.fill((batch, 1), 1 - SMOOTH), tf.zeros((batch, 1))], 0)
                d_loss = 2 * self.cross_entropy(labels, logits)
            variables = self.discriminator.trainable_variables
            self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, variables), variables, strict=True))
            with tf.GradientTape() as tape:
                logits = self.discriminator(self.generator(z, training=True), training=True)
                g_loss = self.cross_entropy(tf.ones((batch, 1)), logits)
            variables = self.generator.trainable_variables
            self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, variables), variables, strict=True))
            self.d_tracker.update_state(d_loss)
            self.g_tracker.update_state(g_loss)
            return {"d_loss": self.d_tracker.result(), "g_loss": self.g_tracker.result()}

    return ExampleGAN()


def keras_fit(images, networks, rate=RATE, beta_1=0.9, batch=BATCH, z_size=Z, **compile_options):
    "Keras's `fit`, an epoch a turn."
    from learning_gan.backend import tf

    gan, updates = _keras_example_gan(networks, rate, beta_1, batch, z_size), len(images) // batch
    gan.compile(**compile_options)
    data = tf.data.Dataset.from_tensor_slices(images).shuffle(len(images)).repeat()
    data = data.batch(batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
    epoch = 0
    while True:
        gan.fit(
            data, initial_epoch=epoch, epochs=epoch + 1, steps_per_epoch=updates, verbose=0, shuffle=False
        )
        epoch += 1
        yield updates


def keras_example(images):
    "Keras fit, the way of its examples."
    yield from keras_fit(images, _keras_models(), jit_compile=False)


def keras_tuned(images):
    "The same with Keras's two switches for speed."
    yield from keras_fit(images, _keras_models(), jit_compile=True, steps_per_execution=50)


def graph_2017(images):
    "A graph as of 2017: placeholders, variable scopes, two session runs an update with feed_dict."
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow.compat.v1 as tf

    tf.disable_eager_execution()

    def dense(x, units, name):
        return tf.layers.dense(x, units, name=name)

    def leaky(x):
        return tf.maximum(ALPHA * x, x)

    def g(z):
        with tf.variable_scope("generator"):
            return tf.tanh(dense(leaky(dense(z, HIDDEN, "hidden")), PIXELS, "images"))

    def d(x, reuse):
        with tf.variable_scope("discriminator", reuse=reuse):
            return dense(leaky(dense(x, HIDDEN, "hidden")), 1, "logits")

    def cross_entropy(logits, label):
        labels = tf.ones_like(logits) * label
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=labels))

    real, z = tf.placeholder("float32", (None, PIXELS)), tf.placeholder("float32", (None, Z))
    real_logits, fake_logits = d(real, False), d(g(z), True)
    d_loss = cross_entropy(real_logits, 1 - SMOOTH) + cross_entropy(fake_logits, 0)
    losses = d_loss, cross_entropy(fake_logits, 1)
    scopes = [tf.trainable_variables(scope) for scope in ("discriminator", "generator")]
    d_step, g_step = (
        tf.train.AdamOptimizer(RATE).minimize(loss, var_list=v)
        for loss, v in zip(losses, scopes, strict=True)
    )
    rng = np.random.default_rng(0)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        while True:
            for rows in rng.permutation(len(images))[: UPDATES * BATCH].reshape(UPDATES, BATCH):
                batch = images[rows] / np.float32(127.5) - 1
                latents = rng.uniform(-1, 1, (BATCH, Z))
                session.run(d_step, {real: batch, z: latents})
                session.run(g_step, {z: latents})
            yield


def _torch_update():
    import torch
    from torch import nn

    def network(inputs, outputs, *last):
        layers = nn.Linear(inputs, HIDDEN), nn.LeakyReLU(ALPHA), nn.Linear(HIDDEN, outputs), *last
        model = nn.Sequential(*layers)
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        return model

    g, d = network(Z, PIXELS, nn.Tanh()), network(PIXELS, 1)
    d_adam, g_adam = (torch.optim.Adam(model.parameters(), RATE, eps=1e-8) for model in (d, g))
    cross_entropy = nn.functional.binary_cross_entropy_with_logits
    real_label, fake_label = torch.full((BATCH, 1), 1 - SMOOTH), torch.zeros((BATCH, 1))

    def update(real, z):
        fake = g(z)
        d_adam.zero_grad()
        logits = d(torch.cat([real, fake.detach()]))
        d_loss = cross_entropy(logits[:BATCH], real_label) + cross_entropy(logits[BATCH:], fake_label)
        d_loss.backward()
        d_adam.step()
        g_adam.zero_grad()
        g_loss = cross_entropy(d(fake), torch.ones((BATCH, 1)))
        g_loss.backward()
        g_adam.step()
        return d_loss, g_loss

    return update


def torch_epochs(images, update, batch=BATCH, z_size=Z):
    "An epoch of updates a turn."
    import torch

    images = torch.from_numpy(images)
    while True:
        for rows in torch.randperm(len(images)).view(-1, batch):
            update(images[rows].float() / 127.5 - 1, torch.rand(batch, z_size) * 2 - 1)
        yield len(images) // batch


def torch_eager(images):
    "PyTorch, eager, with the fakes made once an update and one pass of the discriminator over real and fake."
    yield from torch_epochs(images, _torch_update())


def torch_compile(images):
    "The same update under torch.compile."
    import torch

    yield from torch_epochs(images, torch.compile(_torch_update()))


def jax_scan(images):
    "JAX: lax.scan over the 550 updates of an epoch in one compiled call, Adam by hand, D over real and fake images apart."
    import jax
    import jax.numpy as jnp

    def dense(key, n, m):
        return jax.random.uniform(key, (n, m), minval=-1, maxval=1) * jnp.sqrt(6 / (n + m)), jnp.zeros(m)

    def network(keys, sizes):
        return [dense(key, n, m) for key, n, m in zip(keys, sizes, sizes[1:], strict=False)]

    def forward(weights, x):
        (w1, b1), (w2, b2) = weights
        h = x @ w1 + b1
        return jnp.maximum(h, ALPHA * h) @ w2 + b2

    def g(weights, z):
        return jnp.tanh(forward(weights, z))

    def cross_entropy(logits, label):
        return jnp.mean(jnp.maximum(logits, 0) - logits * label + jnp.log1p(jnp.exp(-jnp.abs(logits))))

    def d_loss(weights, real, fake):
        return cross_entropy(forward(weights, real), 1 - SMOOTH) + cross_entropy(forward(weights, fake), 0)

    def adam(weights, grads, state, t):
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state[0], grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state[1], grads)
        rate = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8), weights, m, v), (m, v)

    def update(carry, batch):
        gw, dw, gs, ds, t = carry
        pixels, z = batch
        real = pixels.astype(jnp.float32) / 127.5 - 1
        fake, back = jax.vjp(lambda w: g(w, z), gw)
        dw, ds = adam(dw, jax.grad(d_loss)(dw, real, fake), ds, t)
        to_fake = jax.grad(lambda fake: cross_entropy(forward(dw, fake), 1.0))(fake)
        gw, gs = adam(gw, back(to_fake)[0], gs, t)
        return (gw, dw, gs, ds, t + 1), None

    @jax.jit
    def epoch(carry, key, images):
        order, latent = jax.random.split(key)
        rows = jax.random.permutation(order, len(images))[: UPDATES * BATCH].reshape(UPDATES, BATCH)
        z = jax.random.uniform(latent, (UPDATES, BATCH, Z), minval=-1, maxval=1)
        return jax.lax.scan(lambda c, b: update(c, (images[b[0]], b[1])), carry, (rows, z))[0]

    keys = jax.random.split(jax.random.key(0), 5)
    gw, dw = network(keys[:2], (Z, HIDDEN, PIXELS)), network(keys[2:4], (PIXELS, HIDDEN, 1))

    def zeros(weights):
        return tuple(jax.tree.map(jnp.zeros_like, weights) for _ in range(2))

    carry, images, key = (gw, dw, zeros(gw), zeros(dw), 1.0), jnp.asarray(images), keys[4]
    while True:
        key, now = jax.random.split(key)
        carry = jax.block_until_ready(epoch(carry, now, images))
        yield


def multiplied(pairs):
    "The products of an epoch's updates a turn."
    while True:
        for _ in range(UPDATES):
            multiply(pairs)
        yield


def matmul_limit(images):
    "The limit: nothing but the nine matrix products of an update."
    yield from multiplied(products(BATCH, Z, HIDDEN, PIXELS))


CONTENDERS = {
    "ours, through train": ours,
    "2017 graph": graph_2017,
    "Keras example": keras_example,
    "Keras, jit and 50 steps a call": keras_tuned,
    "PyTorch eager": torch_eager,
    "PyTorch, torch.compile": torch_compile,
    "JAX lax.scan": jax_scan,
    "limit: matrix products alone": matmul_limit,
}
