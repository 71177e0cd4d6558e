"""A training that is killed, stopped or starved goes on with the same command, and ends in the same bits."""

import csv
import io
import json
import random
import re
import shutil
import signal
import time
import zipfile
from collections import Counter
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


def assert_whole(run: Path) -> int:
    "Every file that a run folder shows is whole; how many there are."
    shown = [path for path in run.rglob("[!.]*") if path.is_file()]
    for path in shown:
        try:
            READ[path.suffix](path.read_bytes())
        except FileNotFoundError:
            assert path.parent.name == "checkpoints"  # an old one that has just been deleted
    return len(shown)


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
    train(HyperParameters(**RECIPE), load_mnist("embedded"), run, SEED, callbacks=told, block_size=30)


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

N_EPOCH, N_START = 4, 2
ARCHIVES = {"epoch": 30, "samples": 2, "generator": 2}  # and most writes to wait


def draw_moments(rng: random.Random) -> list[dict]:
    "Moments to be killed at, in an order without order."
    moments = [{"where": "epoch", "lines": i % 2, "delay": rng.uniform(0.0, 0.5)} for i in range(N_EPOCH)]
    moments += [{"where": "start-up", "delay": rng.uniform(0.05, 2)} for _ in range(N_START)]
    for stem, most in ARCHIVES.items():
        target, after = rng.choice(["fsync", "replace"]), rng.random() < 0.5
        at = partial(processes.die_at, target, rng.randint(1, 6), after)
        within = partial(processes.die_within_write, stem, rng.randint(1, most))
        moments += [{"where": "write", "prepare": prepare} for prepare in (at, within)]
    rng.shuffle(moments)
    return moments


def kill_at(moment: dict, process: Process) -> None:
    "Send SIGKILL at a moment, where the process does not do so itself."
    if moment["where"] == "epoch":
        process.wait(until=lambda: "esuming" in process.out.read_text() or process.epochs)
        process.wait(until=lambda: process.epochs >= moment["lines"])
    if moment["where"] != "write":
        end = time.monotonic() + moment["delay"]
        process.wait(until=lambda: time.monotonic() > end)
        process.signal(signal.SIGKILL)


def kill_and_resume(folder: Path, moments: list[dict], reference: Path) -> list[tuple[str, str]]:
    "Be killed at each of the moments, in one run folder after another; where each kill hit, and what it left torn."
    hits, run = [], folder / "run0"
    for number, moment in enumerate(moments):
        for _ in range(3):  # a run that ends before its moment is compared, and the next one takes its place
            process = train(folder / f"log{number}", run, prepare=moment.get("prepare"))
            kill_at(moment, process)
            if process.wait() == -signal.SIGKILL:
                break
            finish(folder, run, reference)
            run = folder / f"run{number}-{len(hits)}"
        assert process.status == -signal.SIGKILL
        assert_whole(run)
        hits.append((moment["where"], " ".join(parts(run))))
    finish(folder, run, reference)
    return hits


def test_a_run_killed_at_any_moment_ends_in_the_same_bits(reference, tmp_path):
    moments, folders = draw_moments(random.Random(2017)), [tmp_path / "a", tmp_path / "b"]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(kill_and_resume, folders, [moments[::2], moments[1::2]], [reference] * 2))
    hits = [hit for folder_hits in done for hit in folder_hits]
    print(f"{len(hits)} kills: {Counter(hits)}")
    assert Counter(where for where, _ in hits) == {"epoch": N_EPOCH, "write": 6, "start-up": N_START}
    torn = {part for _, part in hits}
    assert {"epoch", "samples", "generator"} <= torn  # a checkpoint, and what comes after


# Signals that ask


def test_a_signal_ends_the_run_cleanly(reference, tmp_path):
    run, goes_on = (
        tmp_path / "run",
        "the same command (without --overwrite) goes on from the last finished epoch",
    )
    for number, moment in ((signal.SIGINT, (run / "config.json").exists), (signal.SIGTERM, None)):
        process = train(tmp_path / number.name, run)
        process.wait(until=moment or (lambda: process.epochs))  # noqa: B023
        process.signal(number)
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


# Several processes, and readers


def test_a_second_process_is_refused_and_a_crash_leaves_no_lock(reference, tmp_path):
    run = tmp_path / "run"
    first = train(tmp_path / "first", run)
    first.wait(until=(run / "config.json").exists)
    said = refused(run)
    assert said.endswith(f"another process is training in {run}: wait for it, or choose another folder")
    first.signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    together, looks, seen = [train(tmp_path / str(i), run) for i in range(3)], 0, 0
    while any(process.status is None for process in together):  # of which one trains; none leaves half a file
        seen, looks = max(seen, assert_whole(run)), looks + 1
    assert sorted(process.status for process in together) == [0, 1, 1] and looks > 10 and seen >= 8
    assert results(run) == results(reference)


# Disks


def test_a_file_that_may_not_grow_and_a_folder_that_goes_away_end_the_run_in_one_line(reference, tmp_path):
    "The checkpoint is what is too large, then the samples; other errors of disks are told in chapter 53."
    run, elsewhere, largest = (
        tmp_path / "run",
        tmp_path / "elsewhere",
        (reference / "checkpoints" / LAST).stat().st_size,
    )
    for size, left in ((60_000, 0), (largest + 1_000, 2)):
        process = train(tmp_path / str(size), run, prepare=partial(processes.limit_file_size, size))
        assert process.wait() == 1
        assert process.line.startswith("learning_gan_train: File too large")
        assert process.line.endswith("(make room, and give the same command again)")
        assert len([*(run / "checkpoints").iterdir()]) == left and parts(run) == []
        assert_whole(run)
    finish(tmp_path, run, reference)
    shutil.rmtree(run)
    process = train(tmp_path / "2", run)
    process.wait(until=lambda: process.epochs >= 2)
    run.rename(elsewhere)
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


def hold(run: Path, recipe: dict, every: int) -> None:
    "Train epochs of 5,500 images; after every so many of them, print what the process holds."
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

    recipes.EPOCH_IMAGES = 5_500
    watcher = keras.callbacks.LambdaCallback(on_epoch_end=measure)
    train(recipes.recipe(**recipe), load_mnist("embedded"), run, callbacks=[watcher], verbose=False)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process holds stands in /proc")
def test_a_hundred_epochs_hold_no_more_than_twenty(tmp_path):
    run, recipe = tmp_path / "run", RECIPE | {"epochs": 100, "batch_size": 550}
    rows = [json.loads(line) for line in processes.succeed(hold, run, recipe, 10).splitlines()]
    print(*rows, sep="\n")
    early, late = rows[1], rows[2:]
    assert len(rows) == 10
    assert {(row["graphs"], row["operations"]) for row in late} == {(early["graphs"], early["operations"])}
    for held in ("files", "threads"):  # a file may just be being written
        assert max(row[held] for row in late) <= early[held] + 3
    assert max(row["memory"] for row in late) <= max(row["memory"] for row in rows[:3]) + 20_000
    # On the disk an epoch leaves its samples and a line; all else is there once.
    samples = [path.stat().st_size for path in (run / "samples").iterdir()]
    assert len(samples) == 100 and max(samples) < 16 * 784 * 4 + 200
    assert len(list((run / "checkpoints").iterdir())) == 2
    assert (run / "history.csv").stat().st_size < 100 * 150
    assert (run / "samples.npz").stat().st_size < 100 * (16 * 784 * 4 + 200)
