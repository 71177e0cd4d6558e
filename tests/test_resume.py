"""A training that is killed, stopped or starved goes on with the same command, and ends in the same bits."""

import csv
import io
import itertools
import json
import random
import re
import shutil
import signal
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import processes
import pytest
from PIL import Image
from processes import Process

pytestmark = pytest.mark.kill

EPOCHS, SEED = 3, 7
RECIPE = {"epochs": EPOCHS, "batch_size": 1_100, "g_hidden_size": 4, "d_hidden_size": 4}
ARGUMENTS = ["--data", "embedded", "--seed", SEED]
ARGUMENTS += [word for name, value in RECIPE.items() for word in (f"--{name}", value)]
LAST = f"epoch_{EPOCHS:05d}.npz"


def train(folder: Path, run: Path, *more, prepare=None) -> Process:
    "The training command in a new process; its output goes to `folder`."
    return Process(folder, "train", "--out", run, *ARGUMENTS, *more, prepare=prepare)


def refused(run: Path, *more) -> str:
    return processes.refused("train", "--out", run, *ARGUMENTS, *more)


def weights_of(keras_file: bytes) -> dict[str, bytes]:
    "The arrays in a `.keras` file, whose own bytes hold the time of day."
    with zipfile.ZipFile(io.BytesIO(keras_file)) as archive:
        content, arrays = archive.read("model.weights.h5"), {}
    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(
            lambda name, item: arrays.update({name: item[()].tobytes()} if hasattr(item, "dtype") else {})
        )
    return arrays


def results(run: Path) -> dict:
    "All that has to be the same: losses, samples, the whole last state, the generator."
    files = {
        name: (run / name).read_bytes() for name in ("history.csv", "samples.npz", f"checkpoints/{LAST}")
    }
    return files | {"generator": weights_of((run / "generator.keras").read_bytes())}


def read_npz(content: bytes):
    with np.load(io.BytesIO(content), allow_pickle=False) as npz:
        assert all(npz[name].size for name in npz.files)


def read_csv(content: bytes):
    rows = list(csv.reader(io.StringIO(content.decode())))
    assert [row[0] for row in rows[1:]] == [str(i + 1) for i in range(len(rows) - 1)]
    assert {len(row) for row in rows} == {len(rows[0])} and content.endswith(b"\n")


READ = {  # everything in a file of a run; raises where it is not whole
    ".json": json.loads,
    ".csv": read_csv,
    ".npy": lambda content: np.load(io.BytesIO(content), allow_pickle=False),
    ".npz": read_npz,
    ".keras": weights_of,
    ".png": lambda content: Image.open(io.BytesIO(content)).load(),
    ".gif": lambda content: Image.open(io.BytesIO(content)).load(),
}


def assert_whole(run: Path) -> None:
    "Every file that a run folder shows is whole."
    for path in run.rglob("[!.]*"):
        try:
            path.is_file() and READ[path.suffix](path.read_bytes())
        except FileNotFoundError:
            assert path.parent.name == "checkpoints"  # an old one that has just been deleted


def parts(run: Path) -> list[str]:
    "The files of a run folder that were being written: 'epoch', 'history', 'samples' and so on."
    return [re.match(r"\.([a-z]+)", path.name)[1] for path in run.rglob(".*.part*")]


def finish(folder: Path, run: Path, reference: Path, *more) -> Process:
    "Let a run end, and compare it."
    process = train(folder / "last", run, *more)
    assert process.wait() == 0, process.err.read_text()
    assert results(run) == results(reference) and parts(run) == []
    assert_whole(run)
    return process


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    "An uninterrupted run; test_other_machines holds one in a process that loads everything itself to the same bytes."
    run = tmp_path_factory.mktemp("reference") / "run"
    assert processes.succeed("train", "--out", run, *ARGUMENTS).count("Epoch ") == EPOCHS
    assert_whole(run)
    return run


# Same seed, same bytes


def use_up_random_numbers(run: Path) -> None:
    "Train with callbacks that use up random numbers and look at the model; nothing may depend on them."
    from learning_gan.core.backend import keras, tf
    from learning_gan.parts.data import load_mnist
    from learning_gan.parts.recipes import HyperParameters
    from learning_gan.run.training import train

    class Curious(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            np.random.random(5)  # noqa: NPY002, the global generator is the point
            tf.random.normal([3])
            self.model(tf.random.uniform([2, 100]))

    told = [Curious(), keras.callbacks.History()]
    train(HyperParameters(**RECIPE), load_mnist("embedded"), run, SEED, callbacks=told, block_size=25)


def test_the_same_seed_gives_the_same_bytes_whoever_watches_and_another_seed_others(reference, tmp_path):
    "In another process, in blocks of another size, with callbacks, and with a progress bar on a terminal."
    run, other, screen = tmp_path / "run", tmp_path / "other", tmp_path / "screen"
    watched = processes.run(use_up_random_numbers, run, prepare=partial(processes.use_terminal, screen))
    assert watched.returncode == 0 and results(run) == results(reference)
    assert f"{EPOCHS}/{EPOCHS}" in screen.read_text() and "█" in screen.read_text()
    assert train(tmp_path / "3", other, "--seed", 8, "--epochs", 1).wait() == 0
    first, others = (folder.joinpath("history.csv").read_text().splitlines()[1] for folder in (run, other))
    assert first != others


# Kills

ARCHIVES = {"epoch": 30, "samples": 2, "generator": 2}  # and most writes to wait


def draw_moments(rng: random.Random) -> list[partial]:
    "What prepares a process to be killed: at moments in an order without order."
    moments = [partial(processes.die_after, rng.uniform(0.05, 0.6)) for _ in range(2)]
    for target, after in itertools.product(("fsync", "replace"), (False, True)):
        moments.append(partial(processes.die_at, target, rng.randint(1, 6), after))
    for name, most in ARCHIVES.items():
        moments.append(partial(processes.die_within_write, name, rng.randint(1, most)))
    rng.shuffle(moments)
    return moments


def kill(folder: Path, run: Path, moment: partial) -> bool:
    "Train until the moment; False where the run ends before."
    return train(folder, run, prepare=moment).wait() in (-signal.SIGKILL, -signal.SIGPROF)


def kill_and_resume(folder: Path, moments: list[partial], reference: Path) -> set[str]:
    "Be killed at each of the moments, in one run folder after another; what was torn."
    torn, run = set(), folder / "run"
    for number, moment in enumerate(moments):
        log = folder / f"log{number}"
        if not kill(log, run, moment):  # a run that ended before is compared, and another takes its place
            finish(folder, run, reference)
            run = folder / f"run{number}"
            assert kill(log, run, moment)
        assert_whole(run)
        torn.update(parts(run))
    finish(folder, run, reference)
    return torn


def test_a_run_killed_at_any_moment_ends_in_the_same_bits(reference, tmp_path):
    moments, folders = draw_moments(random.Random(2017)), [tmp_path / "a", tmp_path / "b"]
    with ThreadPoolExecutor(2) as pool:
        torn = pool.map(kill_and_resume, folders, [moments[::2], moments[1::2]], [reference] * 2)
    assert {"epoch", "samples", "generator"} <= set().union(*torn)  # a checkpoint, and what comes after


# Signals that ask


def hold(folder: Path, run: Path, name: str, *more) -> tuple[Process, Path]:
    "A training that waits once it has written a file of that name, until somebody makes the gate."
    gate = folder / f"after {name}"
    wait = partial(processes.once_written, name, processes.wait_for, gate)
    process = train(folder / name, run, *more, prepare=wait)
    process.wait(until=lambda: any(run.rglob(name)))
    return process, gate


def test_a_signal_ends_the_run_cleanly(reference, tmp_path):
    run = tmp_path / "run"
    goes_on = "the same command (without --overwrite) goes on from the last finished epoch"
    for number, name in ((signal.SIGINT, "config.json"), (signal.SIGTERM, "epoch_00001.npz")):
        process, gate = hold(tmp_path, run, name)
        process.signal(number)
        gate.touch()
        assert process.wait() == 128 + number
        assert process.line == f"learning_gan_train: stopped by {number.name}; {goes_on}"
        assert "Traceback" not in process.out.read_text() and parts(run) == []
        assert (run / "samples.npz").exists() == bool(process.epochs)
    finish(tmp_path, run, reference)


# Finished, extended, refused


def test_a_finished_run_says_so_and_is_extended_to_the_same_bits_as_one_in_one_go(reference, tmp_path):
    run, short = tmp_path / "run", ["--epochs", 2]
    assert train(tmp_path / "1", run, *short).wait() == 0
    extended = finish(tmp_path, run, reference)
    assert extended.out.read_text().startswith(f"resuming after epoch 2 of {EPOCHS}\n")
    (run / "samples.npz").unlink()
    again = finish(tmp_path, run, reference)
    assert again.out.read_text().startswith(f"finished already: epoch {EPOCHS} of {EPOCHS}\n")
    assert again.err.read_text() == ""
    assert f"{run} has finished {EPOCHS} epochs: choose {EPOCHS} or more" in refused(run, *short)
    assert results(run) == results(reference)
    shutil.rmtree(run / "checkpoints")  # what is left is not trained over
    before = {path: path.read_bytes() for path in run.rglob("*.*")}
    assert "has results but no checkpoint to go on from" in refused(run)
    assert {path: path.read_bytes() for path in run.rglob("*.*")} == before


# Several processes, and disks


def test_a_second_process_is_refused_and_a_crash_leaves_no_lock(reference, tmp_path):
    run = tmp_path / "run"
    first, _ = hold(tmp_path, run, "config.json")
    said = refused(run)
    assert said.endswith(f"another process is training in {run}: wait for it, or choose another folder")
    first.signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    gate = tmp_path / "gate"
    wait = partial(processes.once_written, "epoch_00001.npz", processes.wait_for, gate)
    together = [train(tmp_path / str(i), run, prepare=wait) for i in range(3)]
    processes.wait_until(lambda: [each.status for each in together].count(1) == 2)
    gate.touch()  # one trains, and none leaves half a file
    while any(each.status is None for each in together):
        assert_whole(run)
    assert sorted(each.status for each in together) == [0, 1, 1]
    assert results(run) == results(reference)


def test_a_file_that_may_not_grow_and_a_folder_that_goes_away_end_the_run_in_one_line(reference, tmp_path):
    "The checkpoint is what is too large, then the samples; other errors of disks are told in chapter 53."
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    largest = (reference / "checkpoints" / LAST).stat().st_size
    for size, left in ((60_000, 0), (largest + 1_000, 2)):
        process = train(tmp_path / str(size), run, prepare=partial(processes.limit_file_size, size))
        assert process.wait() == 1
        assert process.line.startswith("learning_gan_train: File too large")
        assert process.line.endswith("(make room, and give the same command again)")
        assert len([*(run / "checkpoints").iterdir()]) == left and parts(run) == []
        assert_whole(run)
    finish(tmp_path, run, reference)
    shutil.rmtree(run)
    process, gate = hold(tmp_path, run, "epoch_00001.npz")
    run.rename(elsewhere)
    gate.touch()
    assert process.wait() == 1
    assert process.line.startswith("learning_gan_train: No such file or directory")
    assert_whole(elsewhere)


# Divergence


def test_a_loss_that_is_not_finite_stops_the_command_and_leaves_the_checkpoint(reference, tmp_path):
    run = shutil.copytree(reference, tmp_path / "run")
    (run / "checkpoints" / LAST).unlink()
    (good,) = (run / "checkpoints").iterdir()
    with np.load(good) as npz:
        arrays = dict(npz)
    arrays["discriminator/hidden/kernel"] *= np.float32(1e38)
    np.savez(good, **arrays)
    before, update, said = good.read_bytes(), (EPOCHS - 1) * 50 + 1, refused(run)  # an epoch is 50 updates
    assert f"a loss is no longer finite at update {update} (epoch {EPOCHS}); " in said
    assert f"epoch {EPOCHS - 1} is the last good one: choose a smaller learning rate" in said
    assert good.read_bytes() == before and list((run / "checkpoints").iterdir()) == [good]


# The longest run that a test makes


def grow(run: Path, recipe: dict, every: int) -> None:
    "Train epochs of 550 images; after every so many of them, print what the process holds."
    import gc

    from learning_gan.core.backend import keras, tf
    from learning_gan.parts import recipes
    from learning_gan.parts.data import load_mnist
    from learning_gan.run.training import train

    def measure(epoch, logs):
        if (epoch + 1) % every == 0:
            gc.collect()
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            graphs = [thing for thing in gc.get_objects() if isinstance(thing, tf.Graph)]
            row = {"memory": int(status["VmRSS"].split()[0]), "threads": int(status["Threads"])}
            row |= {"files": len(list(Path("/proc/self/fd").iterdir())), "graphs": len(graphs)}
            row |= {"operations": sum(len(graph.get_operations()) for graph in graphs)}
            print(json.dumps(row), flush=True)

    recipes.EPOCH_IMAGES = 550
    watcher = keras.callbacks.LambdaCallback(on_epoch_end=measure)
    train(recipes.recipe(**recipe), load_mnist("embedded"), run, callbacks=[watcher], verbose=False)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process holds stands in /proc")
def test_sixty_epochs_hold_no_more_than_twelve(tmp_path):
    run, recipe = tmp_path / "run", RECIPE | {"epochs": 60, "batch_size": 55}
    early, *late = [json.loads(line) for line in processes.succeed(grow, run, recipe, 12).splitlines()]
    print(early, *late, sep="\n")
    assert len(late) == 4
    assert {(row["graphs"], row["operations"]) for row in late} == {(early["graphs"], early["operations"])}
    for held in ("files", "threads"):  # a file may just be being written
        assert max(row[held] for row in late) <= early[held] + 3
    assert max(row["memory"] for row in late) <= early["memory"] + 14_000
    # On the disk an epoch leaves its samples and a line; all else is there once.
    samples = [path.stat().st_size for path in (run / "samples").iterdir()]
    assert len(samples) == 60 and max(samples) < 16 * 784 * 4 + 200
    assert len(list((run / "checkpoints").iterdir())) == 2
    assert (run / "history.csv").stat().st_size < 60 * 150
    assert (run / "samples.npz").stat().st_size < 60 * (16 * 784 * 4 + 200)
