"""Models that are no GANs: a VAE and a flow, by formulas known on paper and by what their runs leave."""

import math

import numpy as np
import pytest

from learning_gan.core.backend import keras, tf
from learning_gan.measure.diagnosis import report
from learning_gan.measure.records import read_run
from learning_gan.parts import recipes
from learning_gan.parts.data import load_mnist
from learning_gan.parts.recipes import recipe
from learning_gan.run.flow import build_flow, euler
from learning_gan.run.model import GenerativeModel
from learning_gan.run.sampling import load_generator, sample
from learning_gan.run.training import build_model, train
from learning_gan.run.vae import build_vae
from learning_gan.trials.studies import find_results, load_results

SMALL = {"batch_size": 220, "g_hidden_size": 2, "d_hidden_size": 2, "decay": 0.0, "average": 0.9, "steps": 2}


@pytest.fixture
def quick(monkeypatch):
    "Short epochs, not compiled by XLA."
    monkeypatch.setattr(recipes, "EPOCH_IMAGES", 660)
    monkeypatch.setattr(GenerativeModel, "compiles_well", lambda self: False)


def falling(shape=(4, 4, 1)):
    "A direction that is known: dx/dt = t - x."
    x, t = keras.Input(shape, name="x_t"), keras.Input((1,), name="t")
    away = keras.layers.Subtract()([keras.layers.Reshape((1, 1, 1))(t), x])
    return keras.Model([x, t], away, name="velocity")


def test_eulers_steps_are_those_of_the_formula_and_more_of_them_come_nearer():
    z = np.random.default_rng(0).uniform(-1, 1, (3, 4, 4, 1)).astype(np.float32)
    exact = z * math.exp(-1) + math.exp(-1)  # x(1) of dx/dt = t - x from z
    off = []
    for steps in (1, 2, 10, 50):
        x = z.astype(np.float64)
        for i in range(steps):
            x = x + (i / steps - x) / steps
        drawn = euler(falling(), steps)(z).numpy()
        np.testing.assert_allclose(drawn, x, atol=1e-5)
        off.append(np.abs(drawn - exact).max())
    assert off == sorted(off, reverse=True) and off[-1] < 0.02


def test_the_loss_of_a_flow_is_least_for_the_mean_direction():
    "Of images that are all the same, the direction is (x_1 - x_t) / (1 - t), whatever the noise."
    flow = build_flow(recipe("flow", architecture="unet", g_hidden_size=2), 0, (4, 4, 1))
    image, seen = tf.fill((64, 4, 4, 1), 0.5), []

    def direction(inputs, training):
        x_t, t = inputs
        seen.append(t.numpy().ravel())
        return (image - x_t) / (1 - t[:, None, None])

    z = tf.random.stateless_uniform((64, 4, 4, 1), (0, 0), -1, 1)
    type(flow).velocity, kept = property(lambda self: direction), type(flow).velocity
    try:
        assert float(flow.losses(image, z)[0]) < 1e-6
        flow.updates.assign(1)
        flow.losses(image, z)
    finally:
        type(flow).velocity = kept
    for times in seen:  # evenly apart, and each update somewhere else
        np.testing.assert_allclose(np.diff(np.sort(times)), 1 / 64, atol=1e-5)
    assert np.abs(np.sort(seen[0]) - np.sort(seen[1])).min() > 1e-3


def test_the_losses_of_a_vae_are_those_of_the_formula():
    vae = build_vae(recipe("vae", z_size=3, g_hidden_size=4, d_hidden_size=4), 0, (4, 4, 1))
    rng = np.random.default_rng(1)
    images, z = (rng.uniform(-1, 1, size).astype(np.float32) for size in ((6, 4, 4, 1), (6, 3)))
    mean, log_variance = np.split(vae.encoder(images).numpy().astype(np.float64), 2, axis=1)
    from scipy import stats

    code = mean + np.exp(log_variance / 2) * stats.norm.ppf((z + 1) / 2)
    drawn = (vae.generator((2 * stats.norm.cdf(code) - 1).astype(np.float32)).numpy() + 1) / 2
    ink = (images + 1) / 2
    pixel_loss = -(ink * np.log(drawn) + (1 - ink) * np.log(1 - drawn)).sum(axis=(1, 2, 3)).mean()
    kl_loss = (np.square(mean) + np.exp(log_variance) - log_variance - 1).sum(axis=1).mean() / 2
    np.testing.assert_allclose(
        [float(loss) for loss in vae.losses(images, z)], [pixel_loss, kl_loss], rtol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "losses"),
    [("vae", ["pixel_loss", "kl_loss"]), pytest.param("flow", ["v_loss"], marks=pytest.mark.long)],
)
def test_a_run_goes_on_to_the_bit_and_says_what_it_is(quick, tmp_path, name, losses):
    hp, data, run = recipe(name, epochs=2, **SMALL), load_mnist("embedded"), tmp_path / "run"
    history = train(hp, data, run, 3, verbose=False)
    files = [run / "history.csv", run / "checkpoints" / "epoch_00002.npz"]
    whole = [file.read_bytes() for file in files]
    files[1].unlink()  # as if the second epoch had not ended
    train(hp, data, run, 3, verbose=False)
    assert [file.read_bytes() for file in files] == whole
    assert [n for n in history.dtype.names if f"{n}_mean" in history.dtype.names] == losses
    now, average = (sample(load_generator(run, average), 3) for average in (False, True))
    assert now.shape == (3, 28, 28, 1) and np.abs(now).max() <= 1 and not np.array_equal(now, average)
    said = report(read_run(run))
    assert "no discriminator's, so what is looked for is what samples show" in said
    assert "d_wins" in said.partition("not looked for")[2] and "non_saturating" not in said


@pytest.mark.parametrize("name", ["vae", "flow"])
def test_keras_saves_and_loads_a_model_as_a_whole(tmp_path, name):
    model = build_model(recipe(name, **SMALL), 0)
    model.optimizer.iterations.assign(7)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 7
    for mine, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_flow_is_told_the_digit_and_its_steps_can_be_others_later():
    flow, rng = build_flow(recipe("flow", **SMALL), 0), np.random.default_rng(0)
    for weight in flow.velocity.trainable_variables:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    seven, eight = (sample(flow.generator, 4, digit=digit) for digit in (7, 8))
    assert not np.array_equal(seven, eight)
    again, more = (sample(euler(flow.velocity, steps), 4, digit=7) for steps in (2, 3))
    np.testing.assert_array_equal(again, seven)
    assert not np.array_equal(more, seven)
    with pytest.raises(ValueError, match="use multiples of 4"):
        build_flow(recipe("flow"), 0, (30, 28, 1))


def test_the_rows_of_the_study_say_what_they_are_of_and_can_be_packed_again():
    from studies.families import CELLS, rows, unpack

    kept = load_results("families")
    assert {"family", "steps", "data", "seed", "frechet", "ms_per_image", "minutes"} <= set(kept["runs"][0])
    assert {run["cell"] for run in kept["runs"]} <= set(CELLS)
    assert all(run[key] > 0 for run in kept["runs"] for key in ("frechet", "ms_per_image", "minutes"))
    assert [row for key, run in unpack(kept).items() for row in rows(*key, run)] == kept["runs"]
    with np.load(find_results("families.npz")) as npz:
        assert all(npz[name].dtype == np.uint8 and npz[name].shape == (20, 28, 28, 1) for name in npz.files)
