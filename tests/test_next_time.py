"""Convolutions, labels and averages from the command line: trained, killed, resumed, asked for a digit, refused."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from killed import assert_same_after_a_kill
from PIL import Image

from learning_gan.app import commands as cli
from learning_gan.core.backend import keras
from learning_gan.parts.recipes import recipe
from learning_gan.run.sampling import load_generator, sample
from learning_gan.run.training import build_gan

SMALL = [
    "--g_hidden_size",
    "1",
    "--d_hidden_size",
    "1",
    "--batch_size",
    "5500",
    "--epochs",
    "2",
    "--data",
    "embedded",
]
TRAIN = Path(sys.executable).parent / "learning_gan_train"


def command(out: Path) -> list[str]:
    return [str(TRAIN), "--recipe", "digits", "--out", str(out), *SMALL]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    "A run of two epochs that was told the labels."
    out = tmp_path_factory.mktemp("digits") / "run"
    done = subprocess.run(command(out), capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return out


def refused(name: str, *words) -> str:
    "What a command says when it refuses, which is one line."
    with pytest.raises(SystemExit) as ended:
        getattr(cli, f"{name}_command")([*map(str, words)])
    said = str(ended.value.code)
    assert said.startswith(f"learning_gan_{name}: ") and "\n" not in said
    return said


@pytest.mark.kill
@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_bits(finished, tmp_path):
    names = ["history.csv", "samples.npz", "checkpoints/epoch_00002.npz"]
    assert_same_after_a_kill(command(tmp_path / "run"), tmp_path / "run", finished, names)


@pytest.mark.slow
def test_it_records_average_and_statistics(finished):
    hp = json.loads((finished / "config.json").read_text())["recipe"]
    assert (hp["architecture"], hp["average"], hp["classes"]) == ("conditional", recipe("digits").average, 10)
    with np.load(finished / "checkpoints" / "epoch_00002.npz") as npz:
        assert {"g_optimizer/up_kernel_average", "generator/norm/moving_mean"} <= set(npz.files)
        assert not np.array_equal(npz["g_optimizer/up_kernel_average"], npz["generator/up/kernel"])
    assert (finished / "generator_average.keras").exists()


@pytest.mark.slow
def test_it_draws_the_digit_one_asks_for(finished, tmp_path):
    files = ["--run", finished, "--out", tmp_path / "7.png", "--npz", tmp_path / "7.npz"]
    words = [*files, "--n", 5, "--digit", 7]
    for average in ([], ["--average"]):
        cli.sample_command([*map(str, words), *average])
        with np.load(tmp_path / "7.npz") as npz:
            sevens = npz["samples"]
        np.testing.assert_array_equal(sevens, sample(load_generator(finished, bool(average)), 5, 0, 7))
    assert Image.open(tmp_path / "7.png").size == (6 * (3 * 30 - 2), 6 * (2 * 30 - 2))
    assert not np.array_equal(sevens, sample(load_generator(finished, True), 5, 0, 8))


@pytest.mark.slow
def test_what_cannot_be_asked_is_refused_in_one_line(finished, tmp_path):
    words = ["--run", finished, "--out", tmp_path / "x.png"]
    assert "from 0 to 9, not 10" in refused("sample", *words, "--digit", 10)
    post = tmp_path / "post"
    flat = ["--g_hidden_size", "2", "--batch_size", "5500", "--epochs", "1", "--data", "embedded"]
    cli.train_command(["--out", str(post), *flat])
    words = ["--run", post, "--out", tmp_path / "x.png"]
    assert "--recipe digits" in refused("sample", *words, "--digit", 7)
    assert "keeps no average" in refused("sample", *words, "--average")
    assert "keeps no average" in refused("score", "--run", post, "--average")
    assert not (tmp_path / "x.png").exists()


def test_data_without_labels_is_refused_before_a_folder_is_made(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in pixels.shape)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + pixels.tobytes()))
    data = ["--data", "idx", "--data_dir", tmp_path]
    said = refused("train", "--recipe", "digits", "--out", tmp_path / "run", *data)
    assert "no labels" in said and not (tmp_path / "run").exists()


def test_images_that_cannot_be_halved_twice_are_refused(tmp_path):
    with pytest.raises(ValueError, match="multiples of 4"):
        build_gan(recipe("dcgan"), 0, (30, 30, 1))


def test_fit_wants_labels_where_the_networks_are_told(tmp_path):
    gan = build_gan(recipe("digits", g_hidden_size=1, d_hidden_size=1), seed=0)
    images, labels = np.zeros((40, 28, 28), np.uint8), np.arange(40) % 10
    gan.fit(images, labels, batch_size=20, validation_split=0.5, verbose=0)
    assert int(gan.updates) == 1
    losses = gan.evaluate(images, labels, verbose=0)
    assert losses == gan.evaluate((images, labels), verbose=0)
    with pytest.raises(ValueError, match="no labels"):
        gan.fit(images, verbose=0)
    with pytest.raises(ValueError, match="use classes=11"):
        gan.evaluate(images, labels + 1, verbose=0)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_average_follows_the_weights(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        gan = build_gan(recipe("steady", average=0.5, g_hidden_size=4), seed=0)
        gan.fit(np.zeros((1, 28, 28), np.uint8), verbose=0)
        first = gan.generator.get_weights()
        gan.fit(np.zeros((1, 28, 28), np.uint8), verbose=0)
        second, average = gan.generator.get_weights(), gan.averaged_generator().get_weights()
    finally:
        keras.config.set_dtype_policy(before)
    for one, two, mean in zip(first, second, average, strict=True):
        np.testing.assert_allclose(mean, (one + two) / 2, atol=1e-6)
        assert not np.array_equal(one, two)
