"""What stands in a registry, ours or a newcomer's, is trained, killed, resumed, sampled and diagnosed by the commands."""

import csv
import json
import shutil
import sys
import warnings
from functools import partial
from pathlib import Path

import newcomers
import numpy as np
import processes
import pytest
from filelock import FileLock
from PIL import Image

from learning_gan.core.backend import tf
from learning_gan.parts import recipes
from learning_gan.parts.data import load_mnist
from learning_gan.run import pictures
from learning_gan.run.model import GenerativeModel
from learning_gan.run.training import train

pytestmark = pytest.mark.kill
SMALL = ["--g_hidden_size", 2, "--d_hidden_size", 2, "--batch_size", 110, "--epochs", 2, "--data", "embedded"]
RUNS = {  # what the command is told, and what another run in its folder would be
    "relativistic": (["--loss", "relativistic", "--gamma", 0.5], ["--loss", "non_saturating"]),
    "moments": (["--model", "moments"], ["--model", "gan"]),
    "colour": (["--recipe", "dcgan", "--data", "crosses"], ["--data", "embedded"]),
    "digits": (["--recipe", "digits"], ["--loss", "saturating"]),
    "augmented": (["--recipe", "digits", "--model", "augmented"], ["--model", "gan"]),
    "labels": (["--recipe", "labels", "--labels", 20], ["--labels", 100]),
    "spectral": (
        ["--recipe", "stacked", "--architecture", "spectral", "--loss", "wgan_gp"],
        ["--loss", "r3"],
    ),
}


def quick() -> None:
    "Short epochs, not compiled by XLA, which is tried elsewhere; and what newcomers add."
    recipes.EPOCH_IMAGES, GenerativeModel.compiles_well = 2_200, lambda self: False
    newcomers.register()


def eager() -> None:
    "Nothing is traced: what is looked at is what is left in the folder."
    quick()
    recipes.EPOCH_IMAGES = 440
    tf.config.run_functions_eagerly(True)
    warnings.filterwarnings("ignore", "Even though the `tf.config")  # `tf.data` is traced all the same


def kept(run: Path) -> Path:
    "What a kill right after the first checkpoint would leave of a run: see `quick_and_kept`."
    return run.with_name(f"{run.name}_killed")


def quick_and_kept(run: Path) -> None:
    quick()
    processes.once_written("epoch_00001.npz", shutil.copytree, run, kept(run))


def plain() -> None:
    "Quick, and without pictures."
    quick()
    pictures.save_pictures = lambda run: None


def run(*words, prepare=quick):
    return processes.succeed(*words, prepare=prepare)


def refused(*words, prepare=quick):
    return processes.refused(*words, prepare=prepare)


def trained(name: str, out: Path) -> list:
    return ["train", "--out", out, *RUNS[name][0], *SMALL[: -2 if name == "colour" else None]]


def of_shape(picture: Path, width: int, height: int) -> bool:
    "Small images are drawn larger."
    drawn = Image.open(picture)
    return drawn.width % width == 0 and drawn.width * height == drawn.height * width


@pytest.fixture(scope="session")
def finished(shared):
    "A run from the start to the end, of each name; made once."

    def finished(name: str) -> Path:
        out = shared / "new_entries" / name
        with FileLock(shared / f"{name}.lock"):
            if not out.exists():
                assert run(*trained(name, out), prepare=partial(quick_and_kept, out)).count("Epoch ") == 2
        return out

    return finished


@pytest.mark.parametrize("name", RUNS)
def test_it_is_trained_killed_resumed_and_refused_as_another(finished, tmp_path, name):
    out, again = finished(name), tmp_path / "run"
    shutil.copytree(kept(out), again)
    words, files = trained(name, again), ["history.csv", "samples.npz", "checkpoints/epoch_00002.npz"]
    assert run(*words, prepare=plain).startswith("resuming after epoch 1 of 2")
    for file in [*files, "result.json"] if name == "labels" else files:
        assert (again / file).read_bytes() == (out / file).read_bytes(), file
    (flag, here), said = RUNS[name][1], refused(*words, *RUNS[name][1])
    assert "holds another run" in said and str(here) in said and flag.removeprefix("--") in said
    for picture in ("losses.png", "samples.png", "epochs.png", "training.gif"):
        Image.open(out / picture).load()


@pytest.mark.parametrize("name", RUNS)
def test_it_is_sampled_and_diagnosed_and_each_command_reads_what_the_last_one_wrote(finished, tmp_path, name):
    out, found = finished(name), tmp_path / "found.json"
    run("sample", "--run", out, "--out", tmp_path / "new.png", "--npz", tmp_path / "new.npz", "--n", 10)
    shape = json.loads((out / "config.json").read_text())["data"]["image_shape"]
    with np.load(tmp_path / "new.npz") as npz:
        assert npz["samples"].shape == (10, *shape) and np.abs(npz["samples"]).max() <= 1
    assert of_shape(tmp_path / "new.png", 4 * (shape[1] + 2) - 2, 3 * (shape[0] + 2) - 2)
    run("diagnose", "--run", out, "--json", found)
    assert {"findings", "cannot_tell"} <= set(json.loads(found.read_text()))
    if name != "moments":  # a log of a discriminator and a generator
        run("diagnose", "--history", out / "history.csv", "--samples", tmp_path / "new.npz")


def test_each_leaves_what_it_is_in_its_folder(finished):
    recipe = {name: json.loads((finished(name) / "config.json").read_text())["recipe"] for name in RUNS}
    assert (recipe["relativistic"]["loss"], recipe["relativistic"]["gamma"]) == ("relativistic", 0.5)
    assert [recipe[name]["model"] for name in RUNS] == [
        "gan",
        "moments",
        "gan",
        "gan",
        "augmented",
        "labels",
        "gan",
    ]
    columns = {name: next(csv.reader((finished(name) / "history.csv").open())) for name in RUNS}
    assert columns["moments"] == ["epoch", "loss", "loss_mean", "nearest"]
    assert columns["relativistic"][:5] == ["epoch", "d_loss", "g_loss", "d_loss_mean", "g_loss_mean"]
    with np.load(finished("colour") / "samples.npz") as npz:
        assert npz["samples"].shape == (2, 16, 32, 32, 3)
    result = json.loads((finished("labels") / "result.json").read_text())
    assert set(result) == {"labels", "seed", "epochs", "errors", "n_test"} and result["labels"] == 20
    with np.load(finished("spectral") / "checkpoints" / "epoch_00002.npz") as npz:
        assert any(name.endswith("vector_u") for name in npz.files)
    with np.load(finished("digits") / "checkpoints" / "epoch_00002.npz") as npz:
        assert "generator/norm/moving_mean" in npz.files
        assert not np.array_equal(npz["g_optimizer/up_kernel_average"], npz["generator/up/kernel"])


def test_what_is_not_known_or_not_comparable_is_said(finished):
    "A name without its line in the registry, and a score of other images than MNIST's."
    for name, kind in (("relativistic", "loss"), ("moments", "model")):
        words = ["sample", "--run", finished(name), "--out", finished(name) / "x.png"]
        assert f"unknown {kind} '{name}': choose " in refused(*words, prepare=None)
    said = refused("score", "--run", finished("colour"))
    assert "MNIST" in said and "crosses" in said and "reshape" not in said


# What is asked of a generator that is told labels


def test_it_draws_the_digit_one_asks_for_and_refuses_what_cannot_be_asked(finished, tmp_path):
    drawn, files = [], ["--out", tmp_path / "7.png", "--npz", tmp_path / "7.npz"]
    for more in (["--digit", 7], ["--digit", 8], ["--digit", 7, "--average"]):
        run("sample", "--run", finished("digits"), *files, "--n", 5, *more)
        with np.load(tmp_path / "7.npz") as npz:
            drawn.append(npz["samples"])
    assert not any(np.array_equal(drawn[0], other) for other in drawn[1:])
    for run_of, more, why in [
        ("digits", ["--digit", 10], "from 0 to 9, not 10"),
        ("moments", ["--digit", 7], "--recipe digits"),
        ("moments", ["--average"], "keeps no average"),
    ]:
        words = ["--run", finished(run_of), "--out", tmp_path / "x.png", *more]
        assert why in refused("sample", *words)
    assert not (tmp_path / "x.png").exists()
    assert "keeps no average" in refused("score", "--run", finished("relativistic"), "--average")


# Every file that is left


def train_rest(folder: Path) -> None:
    "Train the recipes of which no run is there, without their pictures."
    small = dict(epochs=1, batch_size=220, g_hidden_size=2, d_hidden_size=2, labels=20, steps=2)
    own = recipes.MADE_FOR | {"stacked": "stacked_embedded"}
    for name in recipes.RECIPES:
        if name not in ALSO:
            train(recipes.recipe(name, **small), load_mnist(own.get(name, "embedded")), folder / name)


ALSO = {"digits": "digits", "labels": "labels", "dcgan": "colour"}  # recipes, and runs of theirs
ALONE = """
import math
import sys
from pathlib import Path
import keras
import numpy as np

for run in map(Path, sys.argv[1:]):
    for path in run.rglob("*.np[yz]"):
        found = np.load(path, allow_pickle=False)
        assert all(found[name].size for name in found.files) if path.suffix == ".npz" else found.size, path
    made, file = {}, np.load(run / "samples.npz")
    for path in run.glob("*.keras"):
        network = keras.saving.load_model(path)
        kinds = [each.shape[1] for each in network.inputs[1:]]
        parts = [np.arange(16) // (math.lcm(*kinds[:-1]) if i == len(kinds) - 1 else 1) for i in range(len(kinds))]
        told = [np.eye(kind)[part % kind] for kind, part in zip(kinds, parts)]
        made[path.stem] = network([file["z"], *told] if told else file["z"], training=False)
    np.testing.assert_allclose(made["generator"], file["samples"][-1], atol=1e-5)
    print(run.name, *sorted(made))
assert "learning_gan" not in sys.modules
"""


def test_numpy_and_keras_alone_read_every_file_of_every_recipe(finished, tmp_path):
    run(train_rest, tmp_path, prepare=eager)
    runs = {name: finished(ALSO[name]) if name in ALSO else tmp_path / name for name in recipes.RECIPES}
    done = processes.cold("python", "-c", ALONE, *runs.values(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    averaging = {runs[name].name for name in recipes.RECIPES if recipes.recipe(name).average}
    both = {line.split()[0] for line in done.stdout.splitlines() if "generator_average" in line}
    assert both == averaging - {"labels"}  # which averages its discriminator
    assert len(done.stdout.splitlines()) == len(recipes.RECIPES)


# Failures and other changes


def change(folder: Path) -> None:
    "Train every failure, and two changes of networks, as their chapters do, but quickly."
    from learning_gan.trials.changes import CHANGES, FAILURES, train_change

    small, steady = dict(epochs=2, batch_size=220, g_hidden_size=2, d_hidden_size=2), dict(baseline="steady")
    for name, failure in FAILURES.items():
        train_change(failure, load_mnist("embedded"), folder / name, 0, **small)
    for name in ("norm_joined", "linear"):  # with a loss and without
        train_change(CHANGES[name], load_mnist("embedded"), folder / name, 0, **steady, **small)


def read_all(folder: Path) -> None:
    for run in sorted(path for path in folder.iterdir() if path.is_dir()):
        processes.command("diagnose", "--run", run, "--json", folder / f"{run.name}.json")
        if list((run / "checkpoints").glob("*")):  # it has not diverged before the first
            processes.command("sample", "--run", run, "--out", folder / f"{run.name}.png", "--n", 4)
    assert "learning_gan.trials.studies" not in sys.modules


def test_a_fresh_process_reads_what_each_failure_and_change_has_left(tmp_path):
    run(change, tmp_path, prepare=eager)
    run(read_all, tmp_path, prepare=None)
    runs = sum(path.is_dir() for path in tmp_path.iterdir())
    found = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert len(found) == runs > 10 and all("findings" in each for each in found)
    assert len([*tmp_path.glob("*.png")]) > runs / 2


# Images that are no squares


def test_images_that_are_no_squares_are_trained_drawn_and_sampled(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 16, 36), np.uint8)  # as many as of 24×24
    header = np.array([0x803, *pixels.shape], ">u4").tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
    own = ["--data", "idx", "--data_dir", tmp_path, "--epochs", 1, "--batch_size", 1_100]
    run("train", "--out", tmp_path / "run", *own)
    run("sample", "--run", tmp_path / "run", "--out", tmp_path / "new.png", "--n", 4)
    assert of_shape(tmp_path / "new.png", 2 * 38 - 2, 2 * 18 - 2)
    assert "no labels" in refused("train", "--recipe", "digits", "--out", tmp_path / "no", *own)
    assert not (tmp_path / "no").exists()
