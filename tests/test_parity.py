"""`GAN.update` computes what the graph of 2017 and a GAN in NumPy compute. `pytest tests -k parity -s` prints how closely."""

import json
from pathlib import Path

import numpy as np
import processes
import pytest
from parity.numpy_gan import NumpyGAN, rounded_to_float32
from threadpoolctl import threadpool_limits

from learning_gan.core.backend import keras, tf
from learning_gan.parts.data import to_unit_range
from learning_gan.parts.inputs import epoch_order, latents
from learning_gan.parts.networks import build_networks
from learning_gan.parts.optimizers import model_optimizers
from learning_gan.parts.recipes import HyperParameters
from learning_gan.run.training import GAN, build_gan

pytestmark = pytest.mark.parity

HP, SEEDS, UPDATES = HyperParameters(), 5, 50
BOUNDS = {10: 1e-4, 50: 1e-2}  # float32: the largest differences of a loss, up to this update


# float32: the graph of 2017


def make_order(images, seeds: int, updates: int) -> dict[str, np.ndarray]:
    "The same first weights, minibatches and latents for both, for each seed."
    rows = [epoch_order(seed, 0, len(images), updates * HP.batch_size) for seed in range(seeds)]
    z = [[latents(seed, n, HP.batch_size, HP.z_size) for n in range(updates)] for seed in range(seeds)]
    pairs = [build_networks(HP, seed) for seed in range(seeds)]
    first = zip(*[g.get_weights() + d.get_weights() for g, d in pairs], strict=True)
    order = {"images": images, "rows": np.reshape(rows, (seeds, updates, -1)), "z": np.array(z)}
    return order | {f"weights_{i}": np.stack(weights) for i, weights in enumerate(first)}


def follow(order) -> list[dict[str, np.ndarray]]:
    "Do an order with `GAN.update`, as graph2017.py does it with its session."
    gan = build_gan(HP, seed=0)
    networks = gan.generator, gan.discriminator
    hidden = [keras.Model(m.input, m.get_layer("leaky_relu").output) for m in networks]
    optimizers = [v for o in (gan.d_optimizer, gan.g_optimizer) for v in o.variables]
    untouched = [v.numpy() for v in optimizers]

    @tf.function(jit_compile=True)
    def update(real_images, z):
        above_zero = [hidden[0](z), hidden[1](real_images), hidden[1](gan(z))]
        active = tf.stack([tf.math.count_nonzero(h > 0) for h in above_zero])
        d_loss, g_loss = gan.update(real_images, z)
        return {"d_loss": d_loss, "g_loss": g_loss, "active": active}

    def one_run(run):
        for variable, value in zip(optimizers, untouched, strict=True):
            variable.assign(value)
        for model, first in zip(networks, (0, 4), strict=True):
            model.set_weights([order[f"weights_{first + i}"][run] for i in range(4)])
        pairs = zip(order["rows"][run], order["z"][run], strict=True)
        seen = [update(to_unit_range(order["images"][rows]), z) for rows, z in pairs]
        return {name: np.stack([s[name].numpy() for s in seen]) for name in seen[0]}

    return [one_run(run) for run in range(SEEDS)]


@pytest.fixture(scope="module")
def both(tmp_path_factory, digits):
    "What the graph of 2017 and `GAN.update` make of one order: dicts of arrays [seeds, updates, ...]."
    folder, order = tmp_path_factory.mktemp("parity"), make_order(digits.train.images, SEEDS, UPDATES)
    flat = order["images"].reshape(-1, 784)
    np.savez(folder / "order.npz", **order | {"images": flat})
    graph = Path(__file__).parent / "parity" / "graph2017.py"
    done = processes.cold("python", "-W", "ignore", graph, folder / "order.npz", folder / "result.npz")
    assert done.returncode == 0, done.stderr[-3000:]
    ours = follow(order)
    with np.load(folder / "result.npz") as theirs:
        return dict(theirs), {name: np.stack([o[name] for o in ours]) for name in ours[0]}


def test_float32_follows_the_graph_of_2017(both):
    theirs, ours = both
    differences = np.maximum(*[np.abs(theirs[k] - ours[k]) for k in ("d_loss", "g_loss")])
    assert np.isfinite(differences).all()
    # Where a hidden unit is above zero in one and below in the other, the slope of Leaky ReLU differs a hundredfold
    # for one image, and the two part faster. This is chance; in about one seed of twenty it comes within ten updates.
    apart = [np.flatnonzero(a) for a in (theirs["active"] != ours["active"]).any(axis=2)]
    apart = [a[0] if len(a) else UPDATES for a in apart]
    print("\nfloat32, the graph of 2017: largest difference of a loss up to an update")
    for seed, (d, flip) in enumerate(zip(differences, apart, strict=True)):
        largest = "   ".join(f"{n}: {d[:n].max():.1e}" for n in (1, 10, 50))
        print(f"  seed {seed}   {largest}   first unit on the other side of zero: update {flip + 1}")
    assert differences[:, 0].max() < 2e-6
    for n, bound in BOUNDS.items():
        pairs = zip(differences, apart, strict=True)
        assert all(d[: min(n, flip)].max(initial=0) <= bound for d, flip in pairs)
        assert sum(d[:n].max() <= bound for d in differences) >= SEEDS - 1
    # and the comparison can tell two trainings apart
    assert np.abs(theirs["d_loss"][0] - ours["d_loss"][1])[:10].max() > 100 * BOUNDS[10]


# float64: NumPy


def test_numpy_gradients_are_the_slopes_of_its_losses():
    rng = np.random.default_rng(0)
    shapes = [(3, 4), (4,), (4, 6), (6,)], [(6, 5), (5,), (5, 1), (1,)]
    gan = NumpyGAN(*[[rng.normal(size=shape) for shape in s] for s in shapes])
    real_images, z = rng.uniform(-1, 1, (7, 6)), rng.uniform(-1, 1, (7, 3))
    losses = (lambda: gan.d_loss(real_images, z), gan.d.weights), (lambda: gan.g_loss(z), gan.g.weights)
    for loss, weights in losses:
        for weight, gradient in zip(weights, loss()[1], strict=True):
            for at in np.ndindex(weight.shape):
                middle, values = weight[at], []
                for step in (1e-5, -1e-5):
                    weight[at] = middle + step
                    values.append(loss()[0])
                weight[at] = middle
                assert (values[0] - values[1]) / 2e-5 == pytest.approx(gradient[at], abs=1e-8)


# The numbers of the recipe that are rounded to float32 whatever the precision of the rest: alpha by TensorFlow, whose
# operation holds it so; the betas by `model_optimizers`, since Keras would round them in one place and not in another.
HELD = {"alpha": HP.alpha, "beta_1": HP.beta_1, "beta_2": HP.beta_2}


def in_float64(model):
    "The same layers and weights, in float64: the package's networks are float32 whatever is set."

    def copy(layer):
        return type(layer).from_config(layer.get_config() | {"dtype": "float64"})

    inputs = keras.Input(model.input_shape[1:], dtype="float64")
    clone = keras.models.clone_model(model, inputs, clone_function=copy)
    clone.set_weights(model.get_weights())
    return clone


def follow_in_float64(images, updates: int = 100) -> None:
    "Print the largest differences of losses and weights as JSON; in a process of its own, for which float64 is set."
    threadpool_limits(1)  # a thread that waits for its turn spins, which costs more than a second one gains
    keras.config.set_floatx("float64")
    gan, order = GAN(*map(in_float64, build_networks(HP, seed=0))), make_order(images, 1, updates)
    gan.compile(*model_optimizers(HP.learning_rate, HP.beta_1), smooth=HP.smooth)
    first = gan.generator.get_weights(), gan.discriminator.get_weights()
    pairs = zip(order["rows"][0], order["z"][0], strict=True)
    batches = [(images[rows] / 127.5 - 1, z.astype(np.float64)) for rows, z in pairs]
    update = tf.function(gan.update, jit_compile=True)
    losses = [[loss.numpy() for loss in update(*batch)] for batch in batches]
    weights = gan.generator.get_weights() + gan.discriminator.get_weights()

    def differences(**numbers) -> dict[str, float]:
        oracle = NumpyGAN(*first, **numbers)
        theirs = [oracle.update(real.reshape(len(z), -1), z) for real, z in batches]
        found = np.abs(np.subtract(losses, theirs)).max(axis=1)
        pairs = zip(weights, oracle.g.weights + oracle.d.weights, strict=True)
        largest = {n: float(found[:n].max()) for n in (1, 10, 50, updates)}
        return largest | {"weights": float(max(np.abs(ours - theirs).max() for ours, theirs in pairs))}

    held = differences(**{name: rounded_to_float32(value) for name, value in HELD.items()})
    dtypes = sorted({v.dtype for v in gan.state().values()})
    print(json.dumps({"dtypes": dtypes, "as it is held": held, "as it is written": differences()}))


def test_float64_follows_numpy(digits):
    report = json.loads(processes.succeed(follow_in_float64, digits.train.images))
    print("\nfloat64, NumPy: largest difference of a loss up to an update, and of a weight after the last")
    for name in ("as it is held", "as it is written"):
        print(f"  the recipe {name:17}" + "   ".join(f"{n}: {d:.1e}" for n, d in report[name].items()))
    assert report["dtypes"] == ["float64", "int64"]
    assert max(report["as it is held"].values()) <= 1e-8
    # TensorFlow holds alpha in float32, and so do we the betas: NumPy must be told, or it is seen.
    assert max(report["as it is written"].values()) > 1e-7
