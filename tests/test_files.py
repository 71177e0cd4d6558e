"""A file appears whole or not at all, and what has appeared is on the disk."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import processes
import pytest

from learning_gan.core import files
from learning_gan.core.files import atomic_path, sync_folder

TRAIN = ["--data", "embedded", "--epochs", 1, "--batch_size", 5_500]


def write(path: Path, content: bytes = b"new") -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def fail(*_):
    raise OSError(errno.EIO, "Input/output error")


@pytest.fixture
def old(tmp_path) -> Path:
    "A file that is there already."
    path = tmp_path / "note.txt"
    path.write_bytes(b"old")
    return path


def test_the_content_is_synced_before_the_name_and_the_name_after(old, monkeypatch):
    steps = []

    def fsync(fd):
        state = os.fstat(fd)
        steps.append("folder" if state.st_ino == old.parent.stat().st_ino else f"content of {state.st_size}")

    def replace(source, target):
        steps.append("name")
        assert Path(source).read_bytes() == b"new" and Path(target) == old
        assert Path(source).parent == old.parent and Path(source).name.startswith(".")
        os.rename(source, target)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(files.os, "replace", replace)
    write(old)
    assert steps == ["content of 3", "name", "folder"]


@pytest.mark.parametrize(("step", "left"), [("fsync", b"old"), ("replace", b"old"), ("sync_folder", b"new")])
def test_a_step_that_fails_is_heard_and_leaves_a_whole_file(old, monkeypatch, step, left):
    monkeypatch.setattr(files if step == "sync_folder" else files.os, step, fail)
    with pytest.raises(OSError, match="Input/output"):
        write(old)
    assert old.read_bytes() == left
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interruption_leaves_the_old_file_and_nothing_else(old, interruption):
    def interrupted():
        with atomic_path(old) as temporary:
            temporary.write_bytes(b"ne")
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert old.read_bytes() == b"old"
    assert list(old.parent.iterdir()) == [old]


def test_a_missing_folder_and_an_unwritten_file_are_errors_and_a_folder_that_cannot_be_synced_is_not(
    old, monkeypatch
):
    with pytest.raises(FileNotFoundError):
        write(old.parent / "nowhere" / "note.txt")
    with pytest.raises(FileNotFoundError), atomic_path(old):
        pass
    assert old.read_bytes() == b"old"

    def refuse(fd):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(files.os, "fsync", refuse)
    sync_folder(old.parent)


def test_threads_that_write_one_file_leave_one_whole_file(tmp_path):
    path = tmp_path / "note.txt"
    contents = [bytes([65 + i]) * 100_000 for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda content: [write(path, content) for _ in range(25)], contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_of_a_run_only_the_table_of_losses_grows_in_place(tmp_path):
    run, notes = tmp_path / "run", tmp_path / "notes"
    processes.succeed("train", "--out", run, *TRAIN, prepare=partial(processes.note_writes, notes))
    written = {Path(line) for line in notes.read_text().splitlines() if line.startswith(str(run))}
    finals = {path.name for path in run.rglob("[!.]*") if path.is_file()}
    assert {path.name for path in written if ".part" not in path.name} == {".lock", "history.csv"}
    stems = {path.name.split(".")[1] for path in written if ".part" in path.name}
    assert stems == {name.split(".")[0] for name in finals} and len(finals) == 10


# A disk that cannot promise to keep anything


def save_checkpoints(theirs: Path, ours: Path) -> None:
    "Save a state with TensorFlow's checkpoint manager and with ours."
    import numpy as np

    from learning_gan.core.backend import tf
    from learning_gan.run.checkpoints import save_checkpoint

    checkpoint = tf.train.Checkpoint(w=tf.Variable(np.arange(3.0)))
    manager = tf.train.CheckpointManager(checkpoint, theirs, max_to_keep=2)
    save_checkpoint(ours, 1, {"w": np.arange(3.0)})
    processes.fail_to_sync()
    print("tf:", manager.save())
    try:
        save_checkpoint(ours, 2, {"w": np.arange(3.0)})
    except OSError as error:
        print("ours:", errno.errorcode[error.errno])


def with_failing_disk(work, *args, **how):
    "What it does, where system calls can be filtered."
    done = processes.run(work, *args, **how)
    if "may not filter" in done.stderr or "no filter" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    return done


def test_ours_notices_a_disk_that_cannot_keep_a_checkpoint_and_tensorflow_does_not(tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    (ours / "checkpoints").mkdir(parents=True)
    said = with_failing_disk(save_checkpoints, theirs, ours).stdout
    assert said.splitlines() == [f"tf: {theirs / 'ckpt-1'}", "ours: EIO"]
    names = ["checkpoint", "ckpt-1.data-00000-of-00001", "ckpt-1.index"]
    assert sorted(path.name for path in theirs.iterdir()) == names
    assert [path.name for path in (ours / "checkpoints").iterdir()] == ["epoch_00001.npz"]


def test_the_command_says_that_the_disk_fails(tmp_path):
    run = tmp_path / "run"
    done = with_failing_disk("train", "--out", run, *TRAIN, prepare=processes.fail_to_sync)
    line = "learning_gan_train: Input/output error (the disk fails: choose another one)\n"
    assert (done.returncode, done.stderr) == (1, line)
    assert [path.name for path in run.rglob("*") if path.is_file() and path.name != ".lock"] == []
