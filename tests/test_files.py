"""A file appears whole or not at all, and what has appeared is on the disk; chapter 71 tries failures and threads."""

import errno
import os
from functools import partial
from pathlib import Path
from unittest import mock

import processes
import pytest

from learning_gan.core import files
from learning_gan.core.files import atomic_path, sync_folder

TRAIN = ["--data", "embedded", "--epochs", 1, "--batch_size", 5_500]


def write(path: Path, fail=lambda: None) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        fail()


def raising(error):
    return mock.Mock(side_effect=error)


@pytest.fixture
def old(tmp_path) -> Path:
    "A file that is there already, and alone at the end."
    path = tmp_path / "note.txt"
    path.write_bytes(b"old")
    yield path
    assert list(tmp_path.iterdir()) == [path]


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
    broken = raising(OSError(errno.EIO, "Input/output error"))
    monkeypatch.setattr(files if step == "sync_folder" else files.os, step, broken)
    with pytest.raises(OSError, match="Input/output"):
        write(old)
    assert old.read_bytes() == left


def test_an_interruption_a_missing_folder_and_an_unwritten_file_leave_the_old_one(old, monkeypatch):
    for interruption in (KeyboardInterrupt, SystemExit, MemoryError):
        with pytest.raises(interruption):
            write(old, raising(interruption))
    with pytest.raises(FileNotFoundError):
        write(old.parent / "nowhere" / "note.txt")
    with pytest.raises(FileNotFoundError), atomic_path(old):
        pass
    assert old.read_bytes() == b"old"
    monkeypatch.setattr(files.os, "fsync", raising(OSError(errno.EINVAL, "Invalid argument")))
    sync_folder(old.parent)  # some file systems cannot: that is no error


def test_of_a_run_only_the_table_of_losses_grows_in_place(tmp_path):
    run, notes = tmp_path / "run", tmp_path / "notes"
    processes.succeed("train", "--out", run, *TRAIN, prepare=partial(processes.note_writes, notes))
    written = {Path(line) for line in notes.read_text().splitlines() if line.startswith(str(run))}
    finals = {path.name for path in run.rglob("[!.]*") if path.is_file()}
    assert {path.name for path in written if ".part" not in path.name} == {".lock", "history.csv"}
    stems = {path.name.split(".")[1] for path in written if ".part" in path.name}
    assert stems == {name.split(".")[0] for name in finals} and len(finals) == 10


def test_the_command_says_that_the_disk_cannot_promise_to_keep_anything(tmp_path):
    run = tmp_path / "run"
    line = processes.refused("train", "--out", run, *TRAIN, prepare=processes.fail_to_sync)
    assert line == "learning_gan_train: Input/output error (the disk fails: choose another one)"
    assert [path.name for path in run.rglob("*") if path.is_file() and path.name != ".lock"] == []
