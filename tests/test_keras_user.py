"""A GAN is a Keras model that a Keras user recognises: every way to build, train, watch, save and change it."""

import csv

import numpy as np
import pytest

from learning_gan.core.backend import keras, tf
from learning_gan.measure.diagnosis import Diagnose
from learning_gan.parts.data import to_unit_range
from learning_gan.parts.images import as_dataset
from learning_gan.parts.networks import build_networks
from learning_gan.parts.optimizers import model_optimizers
from learning_gan.parts.recipes import ARCHITECTURES, HyperParameters, recipe
from learning_gan.run.sampling import sample
from learning_gan.run.training import GAN, build_gan, train

HP = HyperParameters(g_hidden_size=16, d_hidden_size=16, z_size=10)
QUIET = dict(batch_size=100, verbose=0)


@pytest.fixture(scope="module")
def images(digits) -> np.ndarray:
    return digits.train.images[:300]


def new_gan(seed: int = 0, kind: type = GAN, networks=None, **compile_with) -> GAN:
    "Not compiled by XLA, which changes nothing that Keras's interface is about."
    gan = kind(*(networks or build_networks(HP, seed)), seed=seed)
    gan.compile(*compile_with.pop("optimizers", model_optimizers()), jit_compile=False, **compile_with)
    return gan


def state(gan: GAN) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in gan.state().items()}


def assert_same(one: GAN, other: GAN, what="", atol=0.0) -> None:
    theirs = state(other)
    for name, value in state(one).items():
        np.testing.assert_allclose(value, theirs[name], rtol=0, atol=atol, err_msg=f"{what} {name}")


def put(gan: GAN, values: dict) -> GAN:
    for name, variable in gan.state().items():
        variable.assign(values[name])
    return gan


@pytest.fixture(scope="module")
def first() -> tuple[GAN, dict]:
    "A GAN, and what it was at the start."
    gan = new_gan()
    return gan, state(gan)


@pytest.fixture
def gan(first) -> GAN:
    "That GAN, untrained again; what TensorFlow has traced of it is there still."
    return put(*first)


@pytest.fixture(scope="module")
def fitted(images) -> GAN:
    gan = new_gan()
    gan.fit(images, epochs=2, **QUIET)
    return gan


# Networks as people write them


def sequential():
    layers = keras.layers
    generator = [layers.Dense(16, "relu"), layers.Dense(784, "tanh"), layers.Reshape((28, 28, 1))]
    discriminator = [layers.Flatten(), layers.Dense(16, "relu"), layers.Dropout(0.3), layers.Dense(1)]
    return keras.Sequential(generator), keras.Sequential(discriminator)


class Generator(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense, self.grid = keras.layers.Dense(784, "tanh"), keras.layers.Reshape((28, 28, 1))

    def call(self, z):
        return self.grid(self.dense(keras.ops.reshape(z, (-1, 20))))


NETWORKS = {
    "Sequential": (sequential, None),
    "subclassed, z of two dimensions": (lambda: (Generator(), sequential()[1]), (4, 5)),
    "logits and no probability": (lambda: [*build_networks(HP, 0)[:1], sequential()[1]], None),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_trains_also_samples_saves_evaluates_and_keeps_its_names(images, tmp_path, kind):
    make, z_shape = NETWORKS[kind]
    other, gan = gans = [GAN(*make(), z_shape=z_shape) for _ in range(2)]  # Keras counts what was made before
    for each, names in zip(gans, (("adam", "adam"), ("adam", "sgd")), strict=True):
        each.compile(*names, jit_compile=False)
        assert [type(o).__name__.lower() for o in (each.d_optimizer, each.g_optimizer)] == [*names]
        assert each.d_optimizer is not each.g_optimizer
    gan.compile("adam", "adam", jit_compile=False)
    assert [*other.state()] == [*gan.state()]
    gan.fit(images, **QUIET)
    assert sample(gan.generator, 3).shape == (3, 28, 28, 1)
    assert np.isfinite(gan.evaluate(images, verbose=0)).all()
    gan.save_weights(tmp_path / "gan.weights.h5")
    other.load_weights(tmp_path / "gan.weights.h5")
    assert all(map(np.array_equal, gan.get_weights(), other.get_weights()))


# fit


FORMS = {
    "flat": lambda x: x.reshape(-1, 784),
    "square": lambda x: x[..., 0],
    "other whole numbers": lambda x: x.astype("int64"),
    "scaled": to_unit_range,
    "scaled, float64": lambda x: to_unit_range(x).astype("float64"),
    "a list": list,
}


def test_every_form_of_the_images_is_the_same_training(images, gan, first, fitted):
    for form, change in FORMS.items():
        put(*first).fit(change(images), np.zeros(len(images)), epochs=2, callbacks=None, **QUIET)
        assert_same(gan, fitted, form, atol=1e-5)


def test_a_pair_and_a_dataset_of_batches_are_fit_as_they_come(images, gan, first):
    batches = tf.data.Dataset.from_tensor_slices((images, np.zeros(300))).batch(100)
    whole = new_gan()
    whole.fit(images, shuffle=False, **QUIET)
    for x, how in (((images, np.zeros(300)), QUIET), (batches, {"verbose": 0})):
        put(*first).fit(x, shuffle=False, **how)
        assert_same(gan, whole, atol=1e-6)
    with pytest.raises(ValueError, match="validation_split"):
        gan.fit(batches, validation_split=0.5, verbose=0)


class Later(keras.utils.PyDataset):
    "Good bytes first, then something else."

    def __init__(self, then, *labels):
        super().__init__()
        self.then, self.labels = then, labels

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return (self.then if i else np.full((len(self.then), 28, 28, 1), -1, self.then.dtype), *self.labels)


REFUSED = {
    "floats up to 255": (lambda x: x / 1.0, "scale with images / 127.5 - 1"),
    "floats from 0 to 1": (lambda x: x / 255, "scale with images \\* 2 - 1"),
    "NaN": (lambda x: x * np.nan, "NaN"),
    "other sizes": (lambda x: x[:, :27], "but the networks take"),
    "words": (lambda x: x.astype(str), "whole numbers in 0–255"),
    "booleans": (lambda x: x > 9, "pixels are bool"),
}


def batched(wrong):
    return tf.data.Dataset.from_tensor_slices(wrong).batch(50)


def test_all_else_is_refused_with_what_to_do(images, gan):
    good, before = images[:100], state(gan)
    for change, why in REFUSED.values():
        wrong = change(good)
        for way in (
            lambda: gan.fit(wrong, verbose=0),  # noqa: B023
            lambda: gan.fit(batched(wrong), verbose=0),  # noqa: B023
            lambda: gan.fit(good, validation_data=wrong, verbose=0),  # noqa: B023
            lambda: gan.evaluate(wrong, verbose=0),  # noqa: B023
            lambda: gan.train_on_batch(wrong),  # noqa: B023
        ):
            with pytest.raises(ValueError, match=why):
                way()
    np.testing.assert_equal(state(gan), before)


def test_a_range_that_is_wrong_only_later_is_refused_too(images, gan):
    for scale, why in ((1.0, "127.5 - 1"), (np.nan, "NaN")):
        wrong = (images[:50] * scale).astype("float32")
        for late in (Later(wrong), batched(np.concatenate([to_unit_range(images[:50]), wrong]))):
            with pytest.raises(ValueError, match=why):
                gan.fit(late, verbose=0)


def test_what_is_no_array_of_images_is_told_in_one_line(images, gan):
    pairs = batched({"image": images, "label": np.zeros(300)})
    for wrong, why in [
        (pairs, "as_supervised=True"),
        (batched(images).take(0), "the dataset is empty"),
        ("images.npz", "is a path"),
        ({"image": images}, "no dictionary"),
        ((images, np.zeros(300), np.ones(300)), "leave them out"),
        ([images, np.zeros(300)], "no array"),
        (((images, np.zeros(300)), (images, np.zeros(300))), "no array"),
    ]:
        with pytest.raises(ValueError, match=why):
            gan.fit(wrong, verbose=0)
    for more in ({"class_weight": {0: 1}}, {"sample_weight": np.ones(300)}):
        for way in (gan.fit, gan.evaluate, gan.train_on_batch, gan.test_on_batch):
            with pytest.raises(ValueError, match="leave them out"):
                way(images, **more)
    for wrong in (None, "images.npz", {"image": images}, pairs):
        with pytest.raises(ValueError, match="images are no array"):
            as_dataset(wrong)


def test_a_data_set_and_flat_images_are_taken_but_a_run_folder_holds_images(digits, tmp_path, monkeypatch):
    flat = [keras.Sequential([keras.layers.Dense(n, how)]) for n, how in ((784, "tanh"), (1, None))]
    gan, seen = new_gan(networks=flat), Diagnose()
    gan.fit(digits, batch_size=1_000, callbacks=seen, verbose=0)
    assert int(gan.updates) == len(digits.train) // 1_000 and len(seen.epochs) == 1
    monkeypatch.setitem(ARCHITECTURES, "flat", lambda *_: flat)
    with pytest.raises(ValueError, match=r"images \(784,\): end it with Reshape\(\(28, 28, 1\)\)"):
        train(recipe(architecture="flat"), digits, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def told() -> list[keras.Model]:
    "Two networks that are told labels."
    layers, (z, kind, image) = keras.layers, map(keras.Input, ((20,), (10,), (28, 28, 1)))
    drawn = layers.Reshape((28, 28, 1))(layers.Dense(784, "tanh")(layers.concatenate([z, kind])))
    judged = layers.Dense(1)(layers.concatenate([layers.Flatten()(image), kind]))
    return [keras.Model([z, kind], drawn), keras.Model([image, kind], judged)]


def test_labels_are_wanted_where_the_networks_are_told_and_looked_at_to_the_last():
    gan = new_gan(networks=told())
    images, labels = np.zeros((40, 28, 28), np.uint8), np.arange(40) % 10
    gan.fit(images, labels, batch_size=20, validation_split=0.5, verbose=0)
    assert int(gan.updates) == 1
    assert gan.evaluate(images, labels, verbose=0) == gan.evaluate((images, labels), verbose=0)
    later = np.r_[labels[:20], labels[20:] + 1]
    for y, why in [
        (None, "no labels"),
        (labels + 1, "use classes=11"),
        (labels - 1, "count the kinds of image from 0 on"),
        (np.eye(10)[labels], "one-hot"),
        (labels.astype(str), "not whole numbers"),
        (labels[:9], "one for each"),
    ]:
        with pytest.raises(ValueError, match=why):
            gan.evaluate(images, y, verbose=0)
        if y is not None and len(y) == 40:
            with pytest.raises(ValueError, match=why):
                gan.fit(Later(to_unit_range(images), y), verbose=0)
    with pytest.raises(ValueError, match="labels go from 0 to 10"):
        gan.fit(tf.data.Dataset.from_tensor_slices((images, later)).batch(20), verbose=0)


def test_the_next_z_are_other_ones_and_the_seed_decides_them(images, fitted):
    assert int(fitted.updates) == 6
    z = [[gan.drawn(images[:5], n)[1].numpy() for n in (0, 0, 1)] for gan in (fitted, new_gan(seed=1))]
    assert (z[0][0] == z[0][1]).all() and (z[0][0] != z[0][2]).mean() > 0.99 and np.abs(z[0][0]).max() < 1
    assert (z[1][0] != z[0][0]).mean() > 0.99


def test_validation_is_evaluation_and_wins_over_a_share_held_out(images, gan):
    some = dict(batch_size=50, verbose=0)
    history = gan.fit(images, validation_split=1 / 3, **some).history
    assert int(gan.updates) == 4 and {"val_d_loss", "val_g_loss", "d_loss", "g_loss"} == set(history)
    held_out = gan.evaluate(images[200:], return_dict=True, **some)
    assert history["val_d_loss"] == [pytest.approx(held_out["d_loss"], rel=1e-5)]
    history = gan.fit(images, validation_split=0.5, validation_data=images[:50], **some).history
    d_loss, _ = gan.evaluate(images[:50], **some)
    assert int(gan.updates) == 10 and history["val_d_loss"] == [pytest.approx(d_loss, rel=1e-5)]


# callbacks


class Halve(keras.callbacks.LearningRateScheduler):
    def __init__(self):
        super().__init__(lambda epoch, rate: rate / 2)


def rates(gan: GAN) -> list[float]:
    return [float(gan.d_optimizer.learning_rate), float(gan.g_optimizer.learning_rate)]


def test_schedulers_move_both_optimizers_and_unequal_rates_keep_their_ratio(images, gan):
    gan.fit(images, epochs=2, callbacks=[Halve()], **QUIET)
    assert rates(gan) == pytest.approx([0.0005, 0.0005])
    plateau = keras.callbacks.ReduceLROnPlateau("g_loss", 0.1, patience=0, mode="min", min_delta=100)
    gan.fit(images, epochs=2, callbacks=[plateau], **QUIET)
    assert rates(gan) == pytest.approx([0.00005, 0.00005])
    before = [*gan.generator.get_weights(), *gan.discriminator.get_weights()]
    gan.fit(images, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)], **QUIET)
    after = [*gan.generator.get_weights(), *gan.discriminator.get_weights()]
    assert all(map(np.array_equal, before, after))
    gan.d_optimizer.learning_rate, gan.g_optimizer.learning_rate = 0.004, 0.001
    gan.fit(images, callbacks=[Halve()], **QUIET)
    assert rates(gan) == pytest.approx([0.002, 0.0005])
    gan.d_optimizer.learning_rate = 0.0
    gan.fit(images, callbacks=[Halve()], **QUIET)
    assert rates(gan) == pytest.approx([0, 0.00025])


def test_early_stopping_brings_back_the_best_and_nan_terminates(images, gan):
    kept = []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(gan.get_weights()))
    stop = keras.callbacks.EarlyStopping("g_loss", mode="max", patience=1, restore_best_weights=True)
    stop.min_delta = 1e9  # only the first epoch is an improvement of so much
    gan.fit(images, epochs=9, callbacks=[keep, stop], **QUIET)
    assert len(kept) == 2 and all(map(np.array_equal, kept[0], gan.get_weights()))
    gan.generator.layers[1].kernel.assign(gan.generator.layers[1].kernel * np.nan)
    terminate = keras.callbacks.TerminateOnNaN()
    assert len(gan.fit(images, epochs=9, callbacks=[terminate, keep], **QUIET).epoch) == 1


def test_what_watches_and_logs_works_and_what_it_saved_goes_on(images, gan, tmp_path):
    log, board, checkpoint = (tmp_path / name for name in ("log.csv", "board", "{epoch}.keras"))
    watchers = [keras.callbacks.CSVLogger(log), keras.callbacks.TensorBoard(board)]
    watchers.append(keras.callbacks.ModelCheckpoint(checkpoint))
    history = gan.fit(images, epochs=2, validation_data=images[:50], callbacks=watchers, **QUIET).history
    with open(log) as file:
        assert [float(row["d_loss"]) for row in csv.DictReader(file)] == pytest.approx(history["d_loss"])
    assert list(board.rglob("events*"))
    gan.save(tmp_path / "gan.h5")
    for name in ("2.keras", "gan.h5"):
        loaded = keras.saving.load_model(tmp_path / name, custom_objects={"GAN": GAN})  # h5 knows bare names
        assert type(loaded) is GAN and loaded.recipe.smooth == 0.1
        assert_same(loaded, gan)
    loaded.jit_compile = gan.jit_compile  # an h5 does not keep it
    for model in (gan, loaded):
        model.fit(images, epochs=2, **QUIET)
    assert_same(gan, loaded)


def test_a_training_that_broke_off_is_backed_up(images, gan, first, tmp_path):
    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise InterruptedError

    def fit(gan, *more):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return gan.fit(images, shuffle=False, epochs=4, callbacks=[backup, *more], **QUIET)

    with pytest.raises(InterruptedError):
        fit(gan, Break())
    resumed = new_gan(seed=0)
    assert len(fit(resumed).epoch) == 2
    put(*first).fit(images, shuffle=False, epochs=4, **QUIET)
    assert int(resumed.updates) == 12
    assert_same(resumed, gan)


@pytest.fixture
def policy():
    "Sets a dtype policy for the test."
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", ["float32", "mixed_float16"])
def test_the_average_follows_the_weights_and_is_swapped_in_for_evaluation(policy, name):
    policy(name)
    seen, black = [], np.zeros((1, 28, 28), np.uint8)
    gan = build_gan(recipe("steady", average=0.5, g_hidden_size=4), seed=0)
    gan.jit_compile = False
    gan.fit(black, verbose=0)
    first = gan.generator.get_weights()
    swap = keras.callbacks.SwapEMAWeights()
    look = keras.callbacks.LambdaCallback(on_test_begin=lambda logs: seen.append(gan.generator.get_weights()))
    gan.fit(black, validation_data=black, callbacks=[swap, look], verbose=0)
    second, average = gan.generator.get_weights(), gan.averaged_generator().get_weights()
    for one, two, mean, swapped in zip(first, second, average, seen[0], strict=True):
        np.testing.assert_allclose(mean, (one + two) / 2, atol=1e-6)
        np.testing.assert_allclose(swapped, mean, atol=1e-6)
        assert not np.array_equal(one, two)


# saving, compiling, changing


def test_exported_it_is_the_generator_and_the_summary_counts_both(fitted, tmp_path):
    fitted.export(tmp_path / "exported", verbose=False)
    exported, z = tf.saved_model.load(tmp_path / "exported"), np.zeros((3, 10), "float32")
    np.testing.assert_allclose(exported.serve(z), fitted.predict(z, verbose=0), atol=1e-6)
    lines = []
    fitted.summary(print_fn=lambda text, **_: lines.append(text))
    said = "\n".join(lines)
    assert "generator" in said and "discriminator" in said
    assert fitted.built and fitted.count_params() == sum(np.size(w) for w in fitted.get_weights())


def test_mixed_precision_learns_the_same_and_scales_losses_where_it_must(images, policy):
    "SGD's steps are as large as the gradients; those that kept their scale would be 32,768 times too large."
    full = new_gan(optimizers=("sgd", "sgd"))
    reference = full.fit(images, epochs=3, **QUIET).history
    for name, scales in (("mixed_float16", True), ("mixed_bfloat16", False)):
        policy(name)
        mixed = new_gan(optimizers=("sgd", "sgd"))
        history = mixed.fit(images, epochs=3, **QUIET).history
        optimizers = [mixed.d_optimizer, mixed.g_optimizer]
        assert [isinstance(o, keras.optimizers.LossScaleOptimizer) for o in optimizers] == [scales] * 2
        assert {v.dtype for v in mixed.generator.variables} == {"float32"}
        for key in ("d_loss", "g_loss"):
            np.testing.assert_allclose(history[key], reference[key], atol=0.05)
        np.testing.assert_allclose(
            mixed.generator.get_weights()[0], full.generator.get_weights()[0], atol=0.05
        )


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
    (d_loss, _), _ = gan.report(images[:10], np.zeros((10, 10), "float32"), np.zeros((2, 10), "float32"))
    assert float(d_loss) > 100


def test_convolutions_are_not_compiled_on_a_cpu_and_looking_leaves_their_statistics_alone():
    small = dict(g_hidden_size=2, d_hidden_size=2)
    gan = build_gan(recipe("dcgan", **small), seed=0)
    assert gan.jit_compile is bool(tf.config.list_physical_devices("GPU"))
    assert build_gan(recipe("post", **small), seed=0).jit_compile is True
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8)
    gan.fit(images, batch_size=20, verbose=0)
    before, z = state(gan), np.zeros((10, gan.z_shape[0]), "float32")
    gan.evaluate(images, verbose=0)
    gan.report(images[:10], z, z[:2])
    np.testing.assert_equal(state(gan), before)
    assert any("moving" in name and np.abs(value).max() > 0 for name, value in before.items())
    with pytest.raises(ValueError, match="multiples of 4"):
        build_gan(recipe("dcgan", **small), 0, (30, 30, 1))
