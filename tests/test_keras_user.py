"""A GAN is a Keras model that a Keras user recognises: every way to train, watch, save and change it."""

import csv

import numpy as np
import pytest

from learning_gan.backend import keras, tf
from learning_gan.data import load_mnist, to_unit_range
from learning_gan.network import build_networks
from learning_gan.optimizers import model_optimizers
from learning_gan.recipe import HyperParameters
from learning_gan.training import GAN

HP = HyperParameters(g_hidden_size=16, d_hidden_size=16, z_size=10)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return load_mnist("embedded").train.images[:300]


def new_gan(seed: int = 0, kind: type = GAN, **compile_with) -> GAN:
    gan = kind(*build_networks(HP, seed), seed=seed)
    gan.compile(*model_optimizers(), **compile_with)
    return gan


def state(gan: GAN) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in gan.state().items()}


def assert_same(one: GAN, other: GAN) -> None:
    theirs = state(other)
    for name, value in state(one).items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


# fit


FORMS = {
    "flat": lambda x: x.reshape(-1, 784),
    "square": lambda x: x[..., 0],
    "with a channel": lambda x: x,
    "other whole numbers": lambda x: x.astype("int64"),
    "scaled": to_unit_range,
    "scaled, float64": lambda x: to_unit_range(x).astype("float64"),
}


@pytest.fixture(scope="module")
def fitted(images) -> GAN:
    gan = new_gan()
    gan.fit(images, batch_size=100, epochs=2, verbose=0)
    return gan


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_images_is_the_same_training(images, fitted, form):
    gan = new_gan()
    gan.fit(FORMS[form](images), np.zeros(len(images)), batch_size=100, epochs=2, verbose=0)
    if form.startswith("scaled"):  # by NumPy, which rounds once more often than the compiled program
        for one, other in zip(gan.get_weights(), fitted.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
    else:
        assert_same(gan, fitted)


def test_a_dataset_of_batches_is_fit_as_it_comes(images):
    by_array, by_dataset = new_gan(), new_gan()
    by_array.fit(images, batch_size=100, shuffle=False, verbose=0)
    by_dataset.fit(tf.data.Dataset.from_tensor_slices((images, np.zeros(300))).batch(100), verbose=0)
    assert_same(by_array, by_dataset)


REFUSED = {
    "floats up to 255": (lambda x: x / 1.0, "scale with images / 127.5 - 1"),
    "floats from 0 to 1": (lambda x: x / 255, "scale with images * 2 - 1"),
    "NaN": (lambda x: x * np.nan, "NaN"),
    "other sizes": (lambda x: x[:, :27], "but the discriminator takes"),
    "words": (lambda x: x.astype(str), "whole numbers in 0–255"),
    "booleans": (lambda x: x > 9, "pixels are bool"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("way", ["array", "dataset", "validation", "evaluate"])
def test_all_else_is_refused_with_what_to_do(images, way, what):
    gan, (change, why) = new_gan(), REFUSED[what]
    wrong, before = change(images), state(gan)
    dataset = tf.data.Dataset.from_tensor_slices(wrong).batch(50)
    calls = {
        "array": lambda: gan.fit(wrong, verbose=0),
        "dataset": lambda: gan.fit(dataset, verbose=0),
        "validation": lambda: gan.fit(images, validation_data=(wrong, np.zeros(len(wrong))), verbose=0),
        "evaluate": lambda: gan.evaluate(wrong, verbose=0),
    }
    with pytest.raises(ValueError, match=why.replace("*", r"\*")):
        calls[way]()
    np.testing.assert_equal(state(gan), before)


def test_the_next_z_are_other_ones_and_the_seed_decides_them(images, fitted):
    gan = new_gan(seed=1)
    assert int(fitted.updates) == 6
    first, again, second = (fitted.draw(5, n).numpy() for n in (0, 0, 1))
    assert (first == again).all() and (first != second).mean() > 0.99 and np.abs(first).max() < 1
    assert (gan.draw(5, 0).numpy() != first).mean() > 0.99


def test_validation_is_evaluation_and_a_share_can_be_held_out(images):
    gan = new_gan()
    history = gan.fit(images, batch_size=50, validation_split=1 / 3, verbose=0).history
    assert int(gan.updates) == 4
    held_out = gan.evaluate(images[200:], batch_size=50, verbose=0, return_dict=True)
    assert {"val_d_loss", "val_g_loss", "d_loss", "g_loss"} == set(history)
    assert history["val_d_loss"] == [pytest.approx(held_out["d_loss"], rel=1e-5)]


def test_no_share_of_a_dataset_can_be_held_out(images):
    batches = tf.data.Dataset.from_tensor_slices(images).batch(50)
    with pytest.raises(ValueError, match="validation_split"):
        new_gan().fit(batches, validation_split=0.5, verbose=0)


# callbacks


class Halve(keras.callbacks.LearningRateScheduler):
    def __init__(self):
        super().__init__(lambda epoch, rate: rate / 2)


def rates(gan: GAN) -> list[float]:
    return [float(gan.d_optimizer.learning_rate), float(gan.g_optimizer.learning_rate)]


def test_schedulers_move_both_optimizers(images):
    gan = new_gan()
    gan.fit(images, epochs=2, callbacks=[Halve()], verbose=0)
    assert rates(gan) == pytest.approx([0.0005, 0.0005])
    plateau = keras.callbacks.ReduceLROnPlateau("g_loss", 0.1, patience=0, mode="min", min_delta=100)
    gan.fit(images, epochs=2, callbacks=[plateau], verbose=0)
    assert rates(gan) == pytest.approx([0.00005, 0.00005])


def test_a_learning_rate_of_zero_is_heard(images):
    gan = new_gan()
    before = gan.generator.get_weights() + gan.discriminator.get_weights()
    gan.fit(images, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)], verbose=0)
    after = gan.generator.get_weights() + gan.discriminator.get_weights()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_unequal_rates_keep_their_ratio(images):
    gan = new_gan()
    gan.compile(keras.optimizers.Adam(0.004), keras.optimizers.Adam(0.001))
    gan.fit(images, callbacks=[Halve()], verbose=0)
    assert rates(gan) == pytest.approx([0.002, 0.0005])
    gan.d_optimizer.learning_rate = 0.0
    gan.fit(images, callbacks=[Halve()], verbose=0)
    assert rates(gan) == pytest.approx([0, 0.0005])


def test_early_stopping_brings_back_the_best(images):
    gan, kept = new_gan(), []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(gan.get_weights()))
    stop = keras.callbacks.EarlyStopping("g_loss", mode="max", patience=1, restore_best_weights=True)
    # Only the first epoch is an improvement of so much.
    stop.min_delta = 1e9
    gan.fit(images, epochs=9, callbacks=[keep, stop], verbose=0)
    assert len(kept) == 2
    for best, weights in zip(kept[0], gan.get_weights(), strict=True):
        np.testing.assert_array_equal(best, weights)


def test_what_watches_and_logs_works(images, tmp_path):
    gan = new_gan()
    watchers = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TensorBoard(tmp_path / "board"),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
        keras.callbacks.TerminateOnNaN(),
    ]
    history = gan.fit(images, epochs=2, validation_data=images[:50], callbacks=watchers, verbose=0).history
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["d_loss"]) for row in rows] == pytest.approx(history["d_loss"])
    assert list((tmp_path / "board").rglob("events*"))
    loaded = keras.saving.load_model(tmp_path / "2.keras")
    assert_same(loaded, gan)


def test_a_training_that_broke_off_is_backed_up(images, tmp_path):
    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise InterruptedError

    def fit(gan, *more):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return gan.fit(images, batch_size=100, shuffle=False, epochs=4, callbacks=[backup, *more], verbose=0)

    with pytest.raises(InterruptedError):
        fit(new_gan(), Break())
    resumed, whole = new_gan(seed=0), new_gan()
    assert len(fit(resumed).epoch) == 2
    whole.fit(images, batch_size=100, shuffle=False, epochs=4, verbose=0)
    assert int(resumed.updates) == 12
    assert_same(resumed, whole)


# saving


def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been(images, tmp_path):
    gan = new_gan()
    gan.fit(images, batch_size=100, verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert type(loaded) is GAN and loaded.smooth == 0.1
    for model in (gan, loaded):
        model.fit(images, batch_size=100, epochs=2, verbose=0)
    assert_same(gan, loaded)


def test_exported_it_is_the_generator(fitted, tmp_path):
    fitted.export(tmp_path / "exported", verbose=False)
    exported, z = tf.saved_model.load(tmp_path / "exported"), np.zeros((3, 10), "float32")
    np.testing.assert_allclose(exported.serve(z), fitted.predict(z, verbose=0), atol=1e-6)


def test_the_summary_counts_both_networks(fitted):
    lines = []
    fitted.summary(print_fn=lambda text, **_: lines.append(text))
    said = "\n".join(lines)
    assert "generator" in said and "discriminator" in said
    assert fitted.built and fitted.count_params() == sum(np.size(w) for w in fitted.get_weights())


# compile


def test_optimizers_by_name_and_not_one_for_two(images):
    gan = new_gan()
    for names in (("adam", "adam"), ("adam", "sgd")):
        gan.compile(*names)
        gan.fit(images, verbose=0)
        assert [type(o).__name__.lower() for o in (gan.d_optimizer, gan.g_optimizer)] == list(names)
        assert gan.d_optimizer is not gan.g_optimizer
    one = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="one optimizer cannot serve both networks: make two"):
        gan.compile(one, one)


@pytest.fixture
def policy():
    "Sets a dtype policy for the test."
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(("name", "scales"), [("mixed_float16", True), ("mixed_bfloat16", False)])
def test_mixed_precision_learns_the_same_and_scales_losses_where_it_must(images, policy, name, scales):
    full = new_gan()
    full.compile("sgd", "sgd")  # whose steps are as large as the gradients, which Adam's are not
    reference = full.fit(images, batch_size=100, epochs=3, verbose=0).history
    policy(name)
    mixed = new_gan()
    mixed.compile("sgd", "sgd")
    history = mixed.fit(images, batch_size=100, epochs=3, verbose=0).history
    optimizers = [mixed.d_optimizer, mixed.g_optimizer]
    assert [isinstance(o, keras.optimizers.LossScaleOptimizer) for o in optimizers] == [scales] * 2
    assert {v.dtype for v in mixed.generator.variables} == {"float32"}
    for key in ("d_loss", "g_loss"):
        np.testing.assert_allclose(history[key], reference[key], atol=0.05)
    before, step = full.generator.get_weights()[0], mixed.generator.get_weights()[0]
    assert (
        np.abs(before - step).max() < 0.05
    )  # gradients that kept their scale would be 32,768 times too large


# subclasses


def test_a_subclass_is_heard_wherever_the_method_is_used(images):
    class Mine(GAN):
        def d_loss(self, real_images, fake_images, training=True):
            return super().d_loss(real_images, fake_images, training) + 100

        def update(self, real_images, z):
            d_loss, g_loss = super().update(real_images, z)
            return d_loss, g_loss + 1_000

    gan = new_gan(kind=Mine)
    history = gan.fit(images, verbose=0).history
    assert history["d_loss"][0] > 100 and history["g_loss"][0] > 1_000
    assert gan.evaluate(images, verbose=0, return_dict=True)["d_loss"] > 100
    d_loss, *_ = gan.report(images[:10], np.zeros((10, 10), "float32"), np.zeros((2, 10), "float32"))
    assert float(d_loss) > 100


def test_a_discriminator_may_give_logits_alone(images):
    generator, discriminator = build_networks(HP, 0)
    logits = keras.Model(discriminator.input, discriminator.output[1])
    gan, both = GAN(generator, logits), new_gan()
    gan.compile(*model_optimizers())
    for model in (gan, both):
        model.fit(images, batch_size=100, verbose=0)
    for one, other in zip(gan.generator.get_weights(), both.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
