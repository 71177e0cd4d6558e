"""A hundred labels: no other label reaches the training, which goes on to the bit; every file of it can be read."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from killed import assert_same_after_a_kill

from learning_gan.app.commands import train_command
from learning_gan.core.backend import keras, tf
from learning_gan.parts.data import Images, load_mnist
from learning_gan.parts.recipes import recipe
from learning_gan.run import hundred_labels
from learning_gan.run.folder import RunError
from learning_gan.run.hundred_labels import (
    LabelsGAN,
    WeightNormDense,
    build_labels,
    hide_labels,
    load_classifier,
    predicted,
)
from learning_gan.run.sampling import load_model
from learning_gan.run.training import train

SMALL = dict(g_hidden_size=2, d_hidden_size=8, batch_size=1_100, epochs=3)
HP = recipe("labels", labels=20, **SMALL)
SCRIPT = """
import sys
from learning_gan import load_mnist, recipe, train

train(recipe("labels", labels=20, **{}), load_mnist("embedded"), sys.argv[1], 1)
"""
WIDE = """
from learning_gan import load_mnist, recipe
from learning_gan.parts.images import sha256_of
from learning_gan.run.hundred_labels import build_labels

gan = build_labels(recipe("labels"), 1)
images, _ = gan.take(load_mnist("embedded"))
for first in range(0, 4_000, 200):
    gan.train_on_batch(images[first : first + 200])
print(sha256_of(*gan.get_weights()))
"""
KERAS_ALONE = """
import sys
import keras
import numpy as np

with np.load(sys.argv[1] + "/samples.npz") as file:
    made = keras.saving.load_model(sys.argv[1] + "/generator.keras").predict(file["z"], verbose=0)
    np.testing.assert_allclose(made, file["samples"][-1], atol=1e-5)
assert "learning_gan" not in sys.modules
"""
FRESH = """
import sys
import numpy as np
from learning_gan import load_mnist
from learning_gan.core.backend import keras
from learning_gan.run.hundred_labels import load_classifier

folder, run = sys.argv[1:]
with np.load(folder + "/seen.npz") as file:
    images, said, drawn, z = (file[name] for name in ("images", "said", "drawn", "z"))
network = keras.saving.load_model(folder + "/classifier.keras")
again = keras.saving.load_model(folder + "/classifier.keras")
again.set_weights([0 * weight for weight in again.get_weights()])
again.load_weights(folder + "/classifier.weights.h5")
for classifier in (network, again, load_classifier(run)):
    np.testing.assert_array_equal(classifier(images), said)
models = [keras.saving.load_model(folder + f"/{name}.keras") for name in ("saved", "kept")]
for model in models:
    np.testing.assert_array_equal(model.classifier()(images), said)
    np.testing.assert_array_equal(model(z), drawn)
    assert (model.labels, model.epochs, model.kinds, model.seed) == (20, 3, 10, 1)
    scale = model.discriminator.get_layer("logits").scale.numpy()
    some, _ = model.take(load_mnist("embedded"))
    assert np.array_equal(model.discriminator.get_layer("logits").scale, scale)  # it has learnt: left as it is
    model.fit(some[:200], batch_size=100, verbose=0)
"""


@pytest.fixture(scope="module")
def data():
    return load_mnist("embedded")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    "A run that nothing disturbed, in a process of its own."
    out = tmp_path_factory.mktemp("labels") / "run"
    subprocess.run([sys.executable, "-c", SCRIPT.format(SMALL), out], check=True, timeout=300)
    return out


def test_the_training_is_given_no_labels_but_those_chosen(data):
    gan = build_labels(HP, 1)
    images, labels = gan.take(data)
    assert labels is None and len(images) == len(data.train) + len(data.validation)
    shown, known = (part.numpy() for part in gan.labelled)
    assert np.bincount(known).tolist() == [2] * 10
    _, chosen = hide_labels(data, 20, seed=1)
    assert np.array_equal(shown, gan.real_batch(chosen.images)) and np.array_equal(known, chosen.labels)


@pytest.mark.slow
def test_other_labels_change_no_bit(data, tmp_path, monkeypatch):
    labels = np.concatenate([data.train.labels, data.validation.labels])
    rows = hundred_labels.labelled_subset(labels, 20, seed=1)
    wrong = (data.train.labels + 1) % 10
    wrong[rows[rows < len(wrong)]] = data.train.labels[rows[rows < len(wrong)]]
    monkeypatch.setattr(hundred_labels, "labelled_subset", lambda labels, n, seed: rows)
    for name, known in (("right", data.train.labels), ("wrong", wrong)):
        seen = replace(data, train=Images(data.train.images, known))
        train(replace(HP, epochs=1), seen, tmp_path / name, 1, verbose=False)
    assert (wrong != data.train.labels).sum() > 3_900
    both = [(tmp_path / name / "checkpoints/epoch_00001.npz").read_bytes() for name in ("right", "wrong")]
    assert both[0] == both[1]


@pytest.mark.kill
@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_bits(finished, tmp_path):
    names = ["history.csv", "samples.npz", "checkpoints/epoch_00003.npz", "result.json"]
    run = tmp_path / "run"
    assert_same_after_a_kill([sys.executable, "-c", SCRIPT.format(SMALL), run], run, finished, names)


@pytest.mark.slow
def test_two_processes_at_full_width_give_the_same_bits():
    "Small networks do not show what large arrays do."
    command = [sys.executable, "-c", WIDE]
    one, other = (subprocess.run(command, capture_output=True, check=True, timeout=300) for _ in range(2))
    assert one.stdout == other.stdout and len(one.stdout) > 60


@pytest.mark.slow
def test_the_result_is_that_of_the_averaged_weights_on_the_test_images(finished, data):
    result = json.loads((finished / "result.json").read_text())
    wrong = predicted(load_classifier(finished), data.test.images) != data.test.labels
    assert result == {"labels": 20, "seed": 1, "epochs": 3, "errors": int(wrong.sum()), "n_test": 500}
    model = load_model(finished)
    kernel = model.discriminator.get_layer("hidden_1").kernel
    averages = [v for v in model.d_optimizer.variables if v.path.endswith("hidden_1_kernel_average")]
    assert not np.array_equal(kernel, averages[0])
    assert np.array_equal(load_classifier(finished).get_layer("hidden_1").kernel, averages[0])


@pytest.mark.slow
def test_every_file_can_be_read_in_a_fresh_process(finished, data, tmp_path):
    subprocess.run([sys.executable, "-c", KERAS_ALONE, finished], check=True, timeout=300)
    model = load_model(finished)
    model.take(data)
    kept = keras.callbacks.ModelCheckpoint(tmp_path / "kept.keras")
    kept.set_model(model)
    kept.on_epoch_end(0, {})
    model.save(tmp_path / "saved.keras")
    classifier, images, z = model.classifier(), model.real_batch(data.test.images[:50]), np.zeros((3, 100))
    classifier.save(tmp_path / "classifier.keras")
    classifier.save_weights(tmp_path / "classifier.weights.h5")
    np.savez(tmp_path / "seen.npz", images=images, said=classifier(images), z=z, drawn=model(z))
    subprocess.run([sys.executable, "-c", FRESH, tmp_path, finished], check=True, timeout=300)


def test_the_length_of_weights_is_saved_with_them(tmp_path):
    layer = WeightNormDense(3, train_scale=True)
    network = keras.Sequential([keras.Input((4,)), layer])
    layer.scale.assign([1, 2, 3])
    x = np.ones((1, 4), "float32")
    network.save(tmp_path / "network.keras")
    assert np.array_equal(keras.saving.load_model(tmp_path / "network.keras")(x), network(x))
    other = keras.Sequential([keras.Input((4,)), WeightNormDense(3, train_scale=True)])
    network.save_weights(tmp_path / "network.weights.h5")
    other.load_weights(tmp_path / "network.weights.h5")
    assert np.array_equal(other(x), network(x))


def test_the_losses_are_those_of_the_paper(data):
    gan = build_labels(HP, 0)
    gan.show(data.train[:20])
    real, fake = (gan.real_batch(data.train.images[first:][:30]) for first in (100, 200))
    images, labels = (part.numpy() for part in gan.labelled_batch(30))
    assert np.array_equal(labels, np.r_[data.train.labels[:20], data.train.labels[:10]])
    features, logits, _ = zip(*(gan.discriminator(x) for x in (images, real, fake)), strict=True)
    on_labelled, on_real, on_fake = (np.log(np.exp(x.numpy()).sum(axis=1)) for x in logits)
    sorted_wrong = np.mean(on_labelled - logits[0].numpy()[np.arange(30), labels])
    unlabelled = -on_real.mean() + np.log1p(np.exp(on_real)).mean() + np.log1p(np.exp(on_fake)).mean()
    d_loss = gan.d_loss(real, fake, training=False).numpy()
    np.testing.assert_allclose(d_loss, sorted_wrong + unlabelled / 2, rtol=1e-5)
    gap = features[1].numpy().mean(axis=0) - features[2].numpy().mean(axis=0)
    np.testing.assert_allclose(gan.g_loss(real, fake, training=False).numpy(), (gap**2).mean(), rtol=1e-4)


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    small = [word for name, value in SMALL.items() for word in (f"--{name}", value)]
    words = ["--out", tmp_path / "run", "--data", "embedded", "--recipe", "labels", *small, "--epochs", 1]

    def command(*more):
        train_command([*map(str, (*words, *more))])
        return json.loads((tmp_path / "run" / "result.json").read_text())

    errors = command("--labels", 20)["errors"]
    assert f"errors: {errors}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as refused:
        command("--labels", 100)
    assert "labels is 20 there and 100 here" in str(refused.value.code)
    assert command("--labels", 100, "--overwrite")["labels"] == 100


def one_hot(labels):
    return np.eye(10, dtype=int)[labels]


def labelled(data, change, part="train"):
    "The data with other labels in one of its parts."
    images = getattr(data, part)
    return replace(data, **{part: Images(images.images, change(images.labels))})


BAD_LABELS = {
    "none": (lambda labels: None, "no labels"),
    "one-hot": (one_hot, "one-hot"),
    "strings": (lambda labels: labels.astype(str), "whole numbers"),
    "minus one": (lambda labels: labels.astype(int) - 1, "-1"),
    "eleven kinds": (lambda labels: np.where(np.arange(len(labels)) == 7, 10, labels), "--classes 11"),
    "too few": (lambda labels: labels[1:], "labels"),
    "nine kinds": (
        lambda labels: np.minimum(labels, 8),
        "9 kinds of label, and the recipe 10: use --classes 9",
    ),
}


@pytest.mark.parametrize("kind", BAD_LABELS)
def test_labels_that_cannot_be_used_are_refused_in_one_line(data, tmp_path, kind):
    change, said = BAD_LABELS[kind]
    bad = labelled(data, change)
    bad = bad if kind != "nine kinds" else labelled(bad, change, "validation")
    with pytest.raises(ValueError, match=said) as refused:
        train(HP, bad, tmp_path / "run")
    assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["none", "one-hot", "strings", "minus one", "eleven kinds"])
def test_so_are_those_of_the_test_images(data, tmp_path, kind):
    change, said = BAD_LABELS[kind]
    with pytest.raises(ValueError, match="labelled test images" if kind == "none" else said):
        train(HP, labelled(data, change, "test"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_the_model_cannot_do_is_refused_in_one_line(data, tmp_path, monkeypatch):
    for n in (25, 4_510):
        with pytest.raises(ValueError, match="labels must be a multiple of 10"):
            train(replace(HP, labels=n), data, tmp_path / "run")
    with pytest.raises(ValueError, match="labels must be a whole number from 1"):
        replace(HP, labels=0)
    with pytest.raises(ValueError, match="labelled test images"):
        train(HP, replace(data, test=data.test[:0]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    for change, said in ({"batch_size": 99}, "even"), ({"architecture": "mlp"}, "recipe labels"):
        with pytest.raises(ValueError, match=said):
            build_labels(replace(HP, **change))
    with pytest.raises(ValueError, match=r"take\(data\)"):
        build_labels(HP).fit(data.train.images[:200], batch_size=100, verbose=0)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: SimpleNamespace(num_replicas_in_sync=2))
    with pytest.raises(ValueError, match="--devices 1"):
        build_labels(HP)


def test_a_run_of_another_model_has_no_classifier(data, tmp_path):
    train(recipe("post", g_hidden_size=2, batch_size=5_000, epochs=1), data, tmp_path, verbose=False)
    with pytest.raises(RunError, match="has no classifier"):
        load_classifier(tmp_path)


def test_models_are_registered_by_name():
    assert isinstance(build_labels(HP), LabelsGAN)
    assert keras.saving.get_registered_name(LabelsGAN) == "learning_gan>LabelsGAN"
