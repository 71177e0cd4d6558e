"""A hundred labels: no other label reaches the training, which goes on to the bit, and refuses what cannot work."""

import gzip
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from killed import assert_same_after_a_kill

from learning_gan import cli, semi
from learning_gan.data import Images, load_mnist
from learning_gan.recipe import HyperParameters
from learning_gan.semi import RECIPE, build_semi, hide_labels, load_classifier, predicted, train_semi

SMALL = dict(g_hidden_size=2, d_hidden_size=8, batch_size=1_100, epochs=3)
HP = HyperParameters(**RECIPE | SMALL)
SCRIPT = f"""
import sys
from learning_gan.data import load_mnist
from learning_gan.recipe import HyperParameters
from learning_gan.semi import RECIPE, train_semi

train_semi(load_mnist("embedded"), 20, sys.argv[1], 1, HyperParameters(**RECIPE | {SMALL}))
"""


@pytest.fixture(scope="module")
def data():
    return load_mnist("embedded")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    "A run that nothing disturbed, in a process of its own."
    out = tmp_path_factory.mktemp("semi") / "run"
    subprocess.run([sys.executable, "-c", SCRIPT, out], check=True, timeout=300)
    return out


def test_the_training_is_given_no_labels_but_those_chosen(data):
    hidden, labelled = hide_labels(data, 20, seed=1)
    assert [part.labels is None for part in (hidden.train, hidden.validation, hidden.test)] == [True] * 3
    assert len(hidden.train) == len(data.train) + len(data.validation) and not len(hidden.test)
    assert np.bincount(labelled.labels).tolist() == [2] * 10


@pytest.mark.slow
def test_other_labels_change_no_bit(data, tmp_path, monkeypatch):
    labels = np.concatenate([data.train.labels, data.validation.labels])
    rows = semi.labelled_subset(labels, 20, seed=1)
    wrong = (data.train.labels + 1) % 10
    wrong[rows[rows < len(wrong)]] = data.train.labels[rows[rows < len(wrong)]]
    monkeypatch.setattr(semi, "labelled_subset", lambda labels, n, seed: rows)
    hp = replace(HP, epochs=1)
    for name, known in (("right", data.train.labels), ("wrong", wrong)):
        seen = replace(data, train=Images(data.train.images, known))
        train_semi(seen, 20, tmp_path / name, 1, hp, verbose=False)
    assert (wrong != data.train.labels).sum() > 3_900
    both = [(tmp_path / name / "checkpoints/epoch_00001.npz").read_bytes() for name in ("right", "wrong")]
    assert both[0] == both[1]


@pytest.mark.kill
@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_bits(finished, tmp_path):
    names = ["history.csv", "samples.npz", "checkpoints/epoch_00003.npz", "result.json"]
    run = tmp_path / "run"
    assert_same_after_a_kill([sys.executable, "-c", SCRIPT, run], run, finished, names)


@pytest.mark.slow
def test_two_processes_at_full_width_give_the_same_bits(tmp_path):
    "Small networks do not show what large arrays do."
    wide = SCRIPT.replace(str(SMALL), str(dict(epochs=1)))
    for name in ("one", "other"):
        subprocess.run([sys.executable, "-c", wide, tmp_path / name], check=True, timeout=300)
    one, other = (tmp_path / name / "checkpoints/epoch_00001.npz" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_the_result_is_that_of_the_averaged_weights_on_the_test_images(finished, data):
    result = json.loads((finished / "result.json").read_text())
    wrong = predicted(load_classifier(finished), data.test.images) != data.test.labels
    assert result == {"labels": 20, "seed": 1, "epochs": 3, "errors": int(wrong.sum()), "n_test": 500}
    with np.load(finished / "checkpoints" / "epoch_00003.npz") as npz:
        kept, average = (npz[f"{part}hidden_1{end}"] for part, end in PLACES)
    assert not np.array_equal(kept, average)
    assert np.array_equal(load_classifier(finished).get_layer("hidden_1").kernel.numpy(), average)


PLACES = (("discriminator/", "/kernel"), ("d_optimizer/", "_kernel_average"))


def test_the_losses_are_those_of_the_paper(data):
    gan = build_semi(data.train[:20], data.train.images[:100], HP, 0, data.image_shape)
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
    np.testing.assert_allclose(gan.g_loss(fake, real, training=False).numpy(), (gap**2).mean(), rtol=1e-4)


def refused(*words):
    with pytest.raises(SystemExit) as ended:
        cli.semi_command([*map(str, words)])
    said = str(ended.value.code)
    assert said.startswith("learning_gan_semi: ") and "\n" not in said
    return said


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(semi, "RECIPE", RECIPE | SMALL)
    words = ["--out", tmp_path / "run", "--data", "embedded"]
    cli.semi_command([*map(str, words), "--labels", "20", "--epochs", "1"])
    last = capsys.readouterr().out.splitlines()[-1]
    errors = json.loads((tmp_path / "run" / "result.json").read_text())["errors"]
    assert last == f"{errors} errors on 500 test images, with 20 labels"
    assert "data.name is embedded with 20 labels there" in refused(*words, "--labels", 100)
    cli.semi_command([*map(str, words), "--labels", "100", "--epochs", "1", "--overwrite"])
    assert json.loads((tmp_path / "run" / "result.json").read_text())["labels"] == 100


def test_bad_input_is_refused_in_one_line(tmp_path):
    words = ["--out", tmp_path / "run", "--data", "embedded"]
    for n in (25, 0, -10, 4_510):
        assert "a multiple of 10" in refused(*words, "--labels", n)
    assert "epochs must be" in refused(*words, "--epochs", 0)
    assert "unknown data source" in refused("--out", tmp_path / "run", "--data", "cifar")
    pixels = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    header = np.array([0x803, *pixels.shape], ">u4").tobytes()
    for name in ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"):
        (tmp_path / name).write_bytes(gzip.compress(header + pixels.tobytes()))
    unlabelled = ["--data", "idx", "--data_dir", tmp_path]
    assert "the data has no labels" in refused("--out", tmp_path / "run", *unlabelled)
    labels = np.array([0x801, 50], ">u4").tobytes() + bytes([*range(10)] * 5)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    assert "labelled test images" in refused("--out", tmp_path / "run", *unlabelled, "--labels", 10)
    assert not (tmp_path / "run").exists()
