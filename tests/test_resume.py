"""A training that is killed, stopped or starved goes on with the same command, and ends in the same bits."""

import csv
import io
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import victims
from PIL import Image
from victims import Victim

pytestmark = pytest.mark.kill

EPOCHS, SEED = 5, 7
RECIPE = {"epochs": EPOCHS, "batch_size": 550, "g_hidden_size": 16, "d_hidden_size": 16}
ARGUMENTS = ["--data", "embedded", "--seed", str(SEED)]
ARGUMENTS += [word for name, value in RECIPE.items() for word in (f"--{name}", str(value))]
LAST = f"epoch_{EPOCHS:05d}.npz"


def train(folder: Path, run: Path, prepare=None, arguments=ARGUMENTS) -> Victim:
    "The training command in a new process; its output goes to `folder`."
    folder.mkdir(parents=True, exist_ok=True)
    return Victim(folder, victims.command, "train", ["--out", run, *arguments], prepare)


def weights_of(keras_file: bytes) -> dict[str, bytes]:
    "The arrays in a `.keras` file, whose own bytes hold the time of day."
    with zipfile.ZipFile(io.BytesIO(keras_file)) as archive:
        content = archive.read("model.weights.h5")
    arrays = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()].tobytes()

    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(take)
    return arrays


def results(run: Path) -> dict:
    "All that has to be the same: losses, samples, the whole last state, the generator."
    files = {name: (run / name).read_bytes() for name in ("history.csv", "samples.npz")}
    files["checkpoint"] = (run / "checkpoints" / LAST).read_bytes()
    return files | {"generator": weights_of((run / "generator.keras").read_bytes())}


def read_whole(path: Path) -> None:
    "Read everything in a file of a run; raises where it is not whole."
    content = path.read_bytes()
    if path.suffix == ".json":
        assert json.loads(content)["recipe"]["epochs"]
    elif path.suffix == ".csv":
        rows = list(csv.reader(io.StringIO(content.decode())))
        assert [row[0] for row in rows[1:]] == [str(i + 1) for i in range(len(rows) - 1)]
        assert {len(row) for row in rows} == {10} and content.endswith(b"\n")
    elif path.suffix == ".npy":
        assert np.load(io.BytesIO(content), allow_pickle=False).shape == (16, 784)
    elif path.suffix == ".npz":
        with np.load(io.BytesIO(content), allow_pickle=False) as npz:
            assert all(npz[name].size for name in npz.files)
    elif path.suffix == ".keras":
        assert len(weights_of(content)) == 4
    elif path.suffix in (".png", ".gif"):
        Image.open(io.BytesIO(content)).load()
    else:
        raise AssertionError(f"what is {path}?")


def assert_whole(run: Path) -> int:
    "Every file that a run folder shows is whole; how many there are."
    shown = [path for path in run.rglob("[!.]*") if path.is_file()]
    for path in shown:
        try:
            read_whole(path)
        except FileNotFoundError:
            assert path.parent.name == "checkpoints"  # an old one that has just been deleted
    return len(shown)


def parts(run: Path) -> list[str]:
    "The files of a run folder that were being written: 'epoch', 'history', 'samples' and so on."
    return [re.match(r"\.([a-z]+)", path.name)[1] for path in run.rglob(".*.part*")]


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    "An uninterrupted run, by the installed command in a process that starts from nothing."
    run = tmp_path_factory.mktemp("reference") / "run"
    done = subprocess.run([script(), "--out", run, *ARGUMENTS], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Epoch ") == EPOCHS
    assert_whole(run)
    return run


def script() -> Path:
    "The installed command."
    return Path(sys.executable).with_name("learning_gan_train")


# Same seed, same bytes


def test_another_process_gives_the_same_bytes_and_another_seed_others(reference, tmp_path):
    twin, other = tmp_path / "twin", tmp_path / "other"
    assert train(tmp_path / "1", twin).wait() == 0
    assert results(twin) == results(reference)
    assert train(tmp_path / "2", other, arguments=[*ARGUMENTS, "--seed", "8", "--epochs", "1"]).wait() == 0
    first, others = (run.joinpath("history.csv").read_text().splitlines()[1] for run in (reference, other))
    assert first != others


def test_a_progress_bar_changes_nothing(reference, tmp_path):
    run, screen = tmp_path / "run", tmp_path / "screen"
    assert train(tmp_path / "1", run, partial(victims.use_terminal, screen)).wait() == 0
    assert f"epoch {EPOCHS}/{EPOCHS}" in screen.read_text() and "█" in screen.read_text()
    assert results(run) == results(reference)


def test_callbacks_of_the_user_and_the_size_of_blocks_change_nothing(reference, tmp_path):
    run = tmp_path / "run"
    assert Victim(tmp_path, victims.train_with_callbacks, run, RECIPE, SEED).wait() == 0
    assert results(run) == results(reference)


# Kills

N_EPOCH, N_START = 8, 4
ARCHIVES = [
    ("epoch", 90),
    ("epoch", 90),
    ("epoch", 30),
    ("samples", 2),
    ("generator", 2),
]  # and most writes to wait


def draw_moments(rng: random.Random) -> list[dict]:
    "Moments to be killed at, in an order without order."
    moments = [{"where": "epoch", "lines": i % 2, "delay": rng.uniform(0.0, 0.5)} for i in range(N_EPOCH)] + [
        {"where": "start-up", "delay": rng.uniform(0.05, 2)} for _ in range(N_START)
    ]
    for stem, most in ARCHIVES:
        target, after = rng.choice(["fsync", "replace"]), rng.random() < 0.5
        prepare = partial(victims.die_at, target, rng.randint(1, 12), after)
        moments.append({"where": "write", "prepare": prepare})
        prepare = partial(victims.die_within_write, stem, rng.randint(1, most))
        moments.append({"where": "write", "prepare": prepare})
    rng.shuffle(moments)
    return moments


def kill_at(moment: dict, victim: Victim) -> None:
    "Send SIGKILL at a moment, where the process does not do so itself."
    if moment["where"] == "epoch":
        victim.wait(until=lambda: "esuming" in victim.out.read_text() or victim.epochs)
        victim.wait(until=lambda: victim.epochs >= moment["lines"])
    if moment["where"] != "write":
        end = time.monotonic() + moment["delay"]
        victim.wait(until=lambda: time.monotonic() > end)
        victim.signal(signal.SIGKILL)


def kill_and_resume(folder: Path, moments: list[dict], reference: Path) -> list[tuple[str, str]]:
    "Be killed at each of the moments, in one run folder after another; where each kill hit, and what it left torn."
    hits, run = [], folder / "run0"
    for number, moment in enumerate(moments):
        for _ in range(3):  # a run that ends before its moment is compared, and the next one takes its place
            victim = train(folder / f"log{number}", run, moment.get("prepare"))
            kill_at(moment, victim)
            if victim.wait() == -signal.SIGKILL:
                break
            finish(folder, run, reference)
            run = folder / f"run{number}-{len(hits)}"
        assert victim.status == -signal.SIGKILL
        assert_whole(run)
        hits.append((moment["where"], " ".join(parts(run))))
    finish(folder, run, reference)
    return hits


def finish(folder: Path, run: Path, reference: Path) -> None:
    "Let a run end, and compare it."
    victim = train(folder / "last", run)
    assert victim.wait() == 0, victim.err.read_text()
    assert results(run) == results(reference)
    assert parts(run) == []
    assert_whole(run)


def test_a_run_killed_at_any_moment_ends_in_the_same_bits(reference, tmp_path):
    moments = draw_moments(random.Random(2017))
    with ThreadPoolExecutor(2) as pool:
        folders = [tmp_path / "a", tmp_path / "b"]
        done = list(pool.map(kill_and_resume, folders, [moments[::2], moments[1::2]], [reference] * 2))
    hits = [hit for folder_hits in done for hit in folder_hits]
    print(f"{len(hits)} kills: {Counter(hits)}")
    assert len(hits) == len(moments) >= 20
    assert Counter(where for where, _ in hits) == {
        "epoch": N_EPOCH,
        "write": 2 * len(ARCHIVES),
        "start-up": N_START,
    }
    assert {"epoch", "samples", "generator"} <= {
        part for _, part in hits
    }  # torn: a checkpoint, what comes after


def test_the_command_itself_can_be_killed_while_it_starts(reference, tmp_path):
    run, rng = tmp_path / "run", random.Random(2018)
    for _ in range(2):
        process = subprocess.Popen([script(), "--out", run, *ARGUMENTS], stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.05, 4))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    finish(tmp_path, run, reference)


# Signals that ask


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_cleanly(reference, tmp_path, number):
    run = tmp_path / "run"
    early = train(tmp_path / "early", run)
    early.wait(until=(run / "config.json").exists)
    early.signal(number)
    late = train(tmp_path / "late", run) if early.wait() else early
    late.wait(until=lambda: late.epochs)
    late.signal(number)
    late.wait()
    line = (
        f"learning_gan_train: stopped by {number.name}; "
        "the same command (without --overwrite) goes on from the last finished epoch\n"
    )
    for victim in (early, late):
        assert (victim.status, victim.err.read_text()) == (128 + number, line)
        assert "Traceback" not in victim.out.read_text()
    assert parts(run) == []
    finish(tmp_path, run, reference)


def test_a_finished_run_says_so(reference, tmp_path):
    run = shutil.copytree(reference, tmp_path / "run")
    before = results(run)
    (run / "samples.npz").unlink()
    victim = train(tmp_path, run)
    assert victim.wait() == 0
    assert victim.out.read_text().startswith(f"finished already: epoch {EPOCHS} of {EPOCHS}\n")
    assert victim.err.read_text() == ""
    assert results(run) == before


def test_a_finished_run_goes_on_to_the_same_bits_as_one_in_one_go(reference, tmp_path):
    run = tmp_path / "run"
    assert train(tmp_path / "1", run, arguments=[*ARGUMENTS, "--epochs", "2"]).wait() == 0
    longer = train(tmp_path / "2", run)
    assert longer.wait() == 0
    assert longer.out.read_text().startswith(f"resuming after epoch 2 of {EPOCHS}\n")
    assert results(run) == results(reference)
    shorter = train(tmp_path / "3", run, arguments=[*ARGUMENTS, "--epochs", "2"])
    assert shorter.wait() == 1
    assert f"{run} has finished {EPOCHS} epochs: choose {EPOCHS} or more" in one_line(shorter)
    assert results(run) == results(reference)


def test_results_without_checkpoints_are_not_trained_over(reference, tmp_path):
    run = shutil.copytree(reference, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    before = {path: path.read_bytes() for path in run.rglob("*.*")}
    victim = train(tmp_path / "1", run)
    assert victim.wait() == 1
    assert "has results but no checkpoint to go on from" in one_line(victim)
    assert {path: path.read_bytes() for path in run.rglob("*.*")} == before
    assert train(tmp_path / "2", run, arguments=[*ARGUMENTS, "--overwrite"]).wait() == 0
    assert results(run) == results(reference)


# Several processes, and readers


def test_a_second_process_is_refused_and_a_crash_leaves_no_lock(reference, tmp_path):
    run = tmp_path / "run"
    first = train(tmp_path / "first", run)
    first.wait(until=(run / "config.json").exists)
    second = train(tmp_path / "second", run)
    assert second.wait() == 1
    assert second.err.read_text() == (
        f"learning_gan_train: another process is training in {run}: wait for it, or choose another folder\n"
    )
    first.signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    finish(tmp_path, run, reference)


def test_of_processes_that_start_together_one_trains(reference, tmp_path):
    run = tmp_path / "run"
    together = [train(tmp_path / str(i), run) for i in range(3)]
    assert sorted(victim.wait() for victim in together) == [0, 1, 1]
    assert results(run) == results(reference)


def test_a_reader_never_sees_half_a_file(tmp_path):
    run = tmp_path / "run"
    victim, looks, seen = train(tmp_path, run), 0, 0
    while victim.status is None:
        seen = max(seen, assert_whole(run))
        looks += 1
    assert victim.status == 0 and looks > 20 and seen >= 8


# Disks


def one_line(victim: Victim) -> str:
    "The only line on standard error."
    (line,) = victim.err.read_text().splitlines()
    return line


def test_a_full_or_read_only_disk_ends_in_one_line_and_the_run_goes_on(reference, tmp_path):
    disk, kept, sizes = tmp_path / "disk", tmp_path / "kept", [100_000, 900_000, 1_200_000]
    disk.mkdir()
    kept.mkdir()
    victim = Victim(tmp_path, victims.train_on_small_disks, disk, sizes, ARGUMENTS, kept)
    assert victim.wait() == 0, victim.err.read_text()
    said = victim.out.read_text()
    if "no mounting here" in said:
        pytest.skip(said.strip())
    statuses = [line for line in said.splitlines() if line.startswith(("full:", "room:", "read-only:"))]
    assert statuses == ["full: 1", "room: 0", "read-only: 1"] * len(sizes)
    full, read_only = (
        [line for line in victim.err.read_text().splitlines() if words in line]
        for words in ("No space left on device", "Read-only file system")
    )
    assert len(full) == len(read_only) == len(sizes)
    assert len(victim.err.read_text().splitlines()) == 2 * len(sizes)
    assert all("make room, and give the same command again" in line for line in full)
    assert all("it is read-only: choose another place" in line for line in read_only)
    assert all(results(kept / str(size)) == results(reference) for size in sizes)


def test_a_file_that_may_not_grow_ends_the_run_in_one_line(reference, tmp_path):
    run = tmp_path / "run"
    victim = train(tmp_path / "1", run, partial(victims.limit_file_size, 200_000))
    assert victim.wait() == 1
    assert one_line(victim).startswith("learning_gan_train: File too large")
    assert one_line(victim).endswith("(make room, and give the same command again)")
    assert list((run / "checkpoints").iterdir()) == []  # its file is what was too large
    assert parts(run) == []
    assert_whole(run)
    finish(tmp_path, run, reference)


def test_a_folder_that_goes_away_ends_the_run_in_one_line(reference, tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    victim = train(tmp_path / "1", run)
    victim.wait(until=lambda: victim.epochs >= 2)
    run.rename(elsewhere)
    assert victim.wait() == 1
    assert one_line(victim).startswith("learning_gan_train: No such file or directory")
    assert_whole(elsewhere)
    finish(tmp_path, elsewhere, reference)


# Divergence


def test_a_loss_that_is_not_finite_stops_the_command_and_leaves_the_checkpoint(reference, tmp_path):
    run = shutil.copytree(reference, tmp_path / "run")
    (run / "checkpoints" / LAST).unlink()
    (good,) = (run / "checkpoints").iterdir()
    with np.load(good) as npz:
        arrays = dict(npz)
    arrays["discriminator/hidden/kernel"] *= np.float32(1e38)
    np.savez(good, **arrays)
    before = good.read_bytes()
    victim = train(tmp_path, run)
    assert victim.wait() == 1
    update = (EPOCHS - 1) * 100 + 1  # an epoch is 100 updates
    assert one_line(victim).startswith(
        f"learning_gan_train: a loss is no longer finite at update {update} (epoch {EPOCHS}); "
        f"epoch {EPOCHS - 1} is the last good one: choose a smaller learning rate"
    )
    assert good.read_bytes() == before and list((run / "checkpoints").iterdir()) == [good]
