"""One new module and one entry in a registry add an architecture, a data source or a loss; all the rest knows what to do."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from killed import assert_same_after_a_kill
from PIL import Image

pytestmark = [pytest.mark.kill, pytest.mark.slow]

NEWCOMERS = Path(__file__).parent / "newcomers.py"
RECIPE = ["--architecture", "small_convolutions", "--loss", "least_squares", "--g_hidden_size", "4"]
RECIPE += ["--d_hidden_size", "4", "--z_size", "8", "--batch_size", "500", "--epochs", "3", "--smooth", "0"]


def command(name: str, *words) -> list[str]:
    return [sys.executable, str(NEWCOMERS), name, *map(str, words)]


def run(name: str, *words) -> subprocess.CompletedProcess:
    return subprocess.run(command(name, *words), capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    "A run from the start to the end."
    out = tmp_path_factory.mktemp("new") / "run"
    done = run("train", "--out", out, "--data", "crosses", *RECIPE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Epoch ") == 3
    return out


def test_it_trains_and_records_names_and_shape(finished):
    config = json.loads((finished / "config.json").read_text())
    assert (config["recipe"]["architecture"], config["recipe"]["loss"]) == (
        "small_convolutions",
        "least_squares",
    )
    assert config["recipe"]["input_size"] == 1024  # nobody had to say so
    assert config["data"]["name"] == "crosses" and config["data"]["image_shape"] == [32, 32, 1]
    with np.load(finished / "samples.npz") as npz:
        assert npz["samples"].shape == (3, 16, 32, 32, 1)
    with np.load(finished / "checkpoints" / "epoch_00003.npz") as npz:
        assert {"generator/norm/moving_mean", "discriminator/norm/moving_variance"} <= set(npz.files)
        assert np.abs(npz["generator/norm/moving_mean"]).max() > 0


def test_killed_it_goes_on_to_the_same_bits(finished, tmp_path):
    words = ["--out", tmp_path / "run", "--data", "crosses", *RECIPE]
    names = ["history.csv", "samples.npz", "checkpoints/epoch_00003.npz"]
    assert_same_after_a_kill(command("train", *words), tmp_path / "run", finished, names)


def test_it_is_sampled_and_drawn(finished, tmp_path):
    done = run(
        "sample", "--run", finished, "--out", tmp_path / "new.png", "--npz", tmp_path / "new.npz", "--n", 5
    )
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(tmp_path / "new.npz") as npz:
        assert npz["samples"].shape == (5, 32, 32, 1) and np.abs(npz["samples"]).max() <= 1
    assert Image.open(tmp_path / "new.png").size == (3 * 34 - 2, 2 * 34 - 2)
    for name in ("losses.png", "samples.png", "epochs.png", "training.gif"):
        Image.open(finished / name).load()


def test_its_score_says_that_the_ruler_is_for_mnist(finished):
    done = run("score", "--run", finished)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "MNIST" in line and "28" in line and "reshape" not in line
    assert "'crosses'" in line and "mnist or embedded" in line


def test_without_the_registration_the_names_are_refused(finished):
    from learning_gan.runs import RunError
    from learning_gan.sampling import load_generator

    with pytest.raises(RunError, match="unknown architecture 'small_convolutions': choose mlp"):
        load_generator(finished)


def test_a_convolution_is_not_compiled_on_a_cpu_and_a_dense_network_is(tmp_path):
    sys.path.insert(0, str(NEWCOMERS.parent))
    from newcomers import small_convolutions

    from learning_gan.backend import tf
    from learning_gan.optimizers import model_optimizers
    from learning_gan.recipe import HyperParameters
    from learning_gan.training import GAN, build_gan

    gan = GAN(*small_convolutions(HyperParameters(g_hidden_size=4, d_hidden_size=4), (28, 28, 1), 0))
    gan.compile(*model_optimizers())
    assert gan.jit_compile is bool(tf.config.list_physical_devices("GPU"))
    assert build_gan(HyperParameters(g_hidden_size=4), 0).jit_compile is True


def test_evaluation_and_reports_leave_the_statistics_alone():
    from newcomers import crosses, small_convolutions

    from learning_gan.optimizers import model_optimizers
    from learning_gan.recipe import HyperParameters
    from learning_gan.training import GAN

    images = crosses().train.images[:200]
    gan = GAN(*small_convolutions(HyperParameters(g_hidden_size=4, d_hidden_size=4), (32, 32, 1), 0))
    gan.compile(*model_optimizers())
    gan.fit(images, batch_size=100, verbose=0)
    before = [v.numpy() for v in gan.state().values()]
    gan.evaluate(images, verbose=0)
    gan.report(images[:10], np.zeros((10, 100), "float32"), np.zeros((2, 100), "float32"))
    for old, new in zip(before, gan.state().values(), strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    assert any("moving" in name and np.abs(v.numpy()).max() > 0 for name, v in gan.state().items())


def test_images_that_are_no_squares_are_trained_drawn_and_sampled(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 16, 36), np.uint8)  # as many as of 24×24
    header = np.array([0x803, *pixels.shape], ">u4").tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
    own = ["--data", "idx", "--data_dir", tmp_path, "--epochs", 1, "--batch_size", 5_500]
    trained = run("train", "--out", tmp_path / "run", *own)
    assert (trained.returncode, trained.stderr) == (0, "")
    sampled = run("sample", "--run", tmp_path / "run", "--out", tmp_path / "new.png", "--n", 4)
    assert (sampled.returncode, sampled.stderr) == (0, "")
    assert Image.open(tmp_path / "new.png").size == (2 * 38 - 2, 2 * 18 - 2)
