"""The GAN as it was written in 2017, on today's TensorFlow: a graph, a session, and nothing of learning_gan.

It runs in a process of its own, because TF_USE_LEGACY_KERAS decides at import which Keras TensorFlow has:

    python graph2017.py ORDER.npz RESULT.npz

An order holds one or more runs. `images`, uint8 [n, pixels], is for all of them; `rows`, whole numbers [runs, updates,
batch], says which images each update sees. The latents `z`, float32 [runs, updates, batch, z_size], and the first
weights `weights_0` to `weights_7`, [runs, ...] each, are given too, or all drawn here from `seed` [runs]. `n_fakes`
asks for so many fake images after the last update.

The result holds, for each run: `d_loss` before D's step and `g_loss` between the two steps, float32 [updates]; `active`
[updates, 3], how many hidden units were above zero before the update, in G, in D on real and in D on fake images; and
`fake_images`, float32 [n_fakes, pixels], if asked for.
"""

import os
import sys
from types import SimpleNamespace

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.ERROR)

HIDDEN = ("generator/hidden:0", "discriminator/hidden:0", "discriminator_1/hidden:0")


def generator(z, out_dim, n_units=128, reuse=False, alpha=0.01):
    with tf.variable_scope("generator", reuse=reuse):
        hidden = tf.layers.dense(z, n_units)
        hidden = tf.maximum(alpha * hidden, hidden, name="hidden")
        return tf.tanh(tf.layers.dense(hidden, out_dim))


def discriminator(x, n_units=128, reuse=False, alpha=0.01):
    with tf.variable_scope("discriminator", reuse=reuse):
        hidden = tf.layers.dense(x, n_units)
        hidden = tf.maximum(alpha * hidden, hidden, name="hidden")
        logits = tf.layers.dense(hidden, 1)
        return tf.sigmoid(logits), logits


def cross_entropy(logits, labels):
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=labels))


def build_graph(pixels=784, z_size=100, n_units=128, alpha=0.01, smooth=0.1, learning_rate=0.002, seed=None):
    tf.reset_default_graph()
    tf.set_random_seed(seed)
    input_real = tf.placeholder(tf.float32, (None, pixels), name="input_real")
    input_z = tf.placeholder(tf.float32, (None, z_size), name="input_z")

    fake_images = generator(input_z, pixels, n_units, alpha=alpha)
    _, real_logits = discriminator(input_real, n_units, alpha=alpha)
    _, fake_logits = discriminator(fake_images, n_units, reuse=True, alpha=alpha)

    d_loss_real = cross_entropy(real_logits, tf.ones_like(real_logits) * (1 - smooth))
    d_loss_fake = cross_entropy(fake_logits, tf.zeros_like(real_logits))
    d_loss = d_loss_real + d_loss_fake
    g_loss = cross_entropy(fake_logits, tf.ones_like(fake_logits))

    variables = tf.trainable_variables()
    g_vars = [v for v in variables if v.name.startswith("generator")]
    d_vars = [v for v in variables if v.name.startswith("discriminator")]
    d_step = tf.train.AdamOptimizer(learning_rate).minimize(d_loss, var_list=d_vars)
    g_step = tf.train.AdamOptimizer(learning_rate).minimize(g_loss, var_list=g_vars)
    return SimpleNamespace(**locals())


def run_updates(sess, graph, batches):
    default = tf.get_default_graph()
    active = [tf.reduce_sum(tf.cast(default.get_tensor_by_name(name) > 0, tf.int32)) for name in HIDDEN]
    seen = []
    for real_images, z in batches:
        feed = {graph.input_real: real_images, graph.input_z: z}
        d_loss, counts, _ = sess.run([graph.d_loss, active, graph.d_step], feed)
        g_loss, _ = sess.run([graph.g_loss, graph.g_step], {graph.input_z: z})
        seen.append((d_loss, g_loss, counts))
    d_losses, g_losses, counts = zip(*seen, strict=True)
    return {"d_loss": np.array(d_losses), "g_loss": np.array(g_losses), "active": np.array(counts)}


def minibatches(order, run, rng, z_size):
    for i, rows in enumerate(order["rows"][run]):
        real_images = order["images"][rows].astype(np.float32) / 127.5 - 1
        z = order["z"][run, i] if "z" in order else rng.uniform(-1, 1, (len(rows), z_size))
        yield real_images, z


def follow(order, run):
    "Do one run of an order."
    seed = int(order["seed"][run]) if "seed" in order else None
    graph = build_graph(order["images"].shape[1], seed=seed)
    rng = np.random.RandomState(seed)
    variables = graph.g_vars + graph.d_vars
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for i, variable in enumerate(variables if "weights_0" in order else []):
            variable.load(order[f"weights_{i}"][run], sess)
        result = run_updates(sess, graph, minibatches(order, run, rng, graph.z_size))
        if "n_fakes" in order:
            z = rng.uniform(-1, 1, (int(order["n_fakes"]), graph.z_size))
            result["fake_images"] = sess.run(graph.fake_images, {graph.input_z: z})
    return result


if __name__ == "__main__":
    with np.load(sys.argv[1]) as file:
        order = dict(file)
    results = [follow(order, run) for run in range(len(order["rows"]))]
    np.savez(sys.argv[2], **{name: np.stack([result[name] for result in results]) for name in results[0]})
