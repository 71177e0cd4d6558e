"""A file appears whole or not at all, and what has appeared is on the disk."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import victims
from victims import Victim

from learning_gan import files
from learning_gan.files import atomic_path, sync_folder


def write(path: Path, content: bytes = b"new") -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


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
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files if step == "sync_folder" else files.os, step, fail)
    with pytest.raises(OSError, match="Input/output"):
        write(old)
    assert old.read_bytes() == left
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interruption_leaves_the_old_file_and_nothing_else(old, interruption):
    def write_and_stop():
        with atomic_path(old) as temporary:
            temporary.write_bytes(b"ne")
            raise interruption

    with pytest.raises(interruption):
        write_and_stop()
    assert old.read_bytes() == b"old"
    assert list(old.parent.iterdir()) == [old]


def test_a_missing_folder_and_an_unwritten_file_are_errors(old):
    with pytest.raises(FileNotFoundError):
        write(old.parent / "nowhere" / "note.txt")
    with pytest.raises(FileNotFoundError), atomic_path(old):
        pass
    assert old.read_bytes() == b"old"


def test_a_file_system_that_does_not_sync_folders_is_no_error(tmp_path, monkeypatch):
    def refuse(fd):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(files.os, "fsync", refuse)
    sync_folder(tmp_path)


def test_of_a_run_only_the_table_of_losses_grows_in_place(tmp_path):
    run, notes = tmp_path / "run", tmp_path / "notes"
    arguments = ["--out", run, "--data", "embedded", "--epochs", "1", "--batch_size", "5500"]
    victim = Victim(tmp_path, victims.command, "train", arguments, partial(victims.note_writes, notes))
    assert victim.wait() == 0, victim.err.read_text()
    written = {Path(line) for line in notes.read_text().splitlines() if line.startswith(str(run))}
    finals = {path.name for path in run.rglob("[!.]*") if path.is_file()}
    assert {path.name for path in written if ".part" not in path.name} == {".lock", "history.csv"}
    stems = {path.name.split(".")[1] for path in written if ".part" in path.name}
    assert stems == {name.split(".")[0] for name in finals} and len(finals) == 10


def test_ours_notices_a_disk_that_cannot_keep_a_checkpoint_and_tensorflow_does_not(tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    (ours / "checkpoints").mkdir(parents=True)
    victim = Victim(tmp_path, victims.save_where_syncing_fails, theirs, ours)
    assert victim.wait() == 0, victim.err.read_text()
    said = victim.out.read_text()
    if "no filter here" in said:
        pytest.skip(said.strip())
    assert said.splitlines() == [f"tf: {theirs / 'ckpt-1'}", "ours: EIO"]
    assert sorted(path.name for path in theirs.iterdir()) == [
        "checkpoint",
        "ckpt-1.data-00000-of-00001",
        "ckpt-1.index",
    ]
    assert [path.name for path in (ours / "checkpoints").iterdir()] == ["epoch_00001.npz"]


def test_the_command_says_that_the_disk_fails(tmp_path):
    run = tmp_path / "run"
    arguments = ["--out", run, "--data", "embedded", "--epochs", "1", "--batch_size", "5500"]
    victim = Victim(tmp_path, victims.command, "train", arguments, victims.fail_to_sync)
    status = victim.wait()
    if "may not filter" in victim.err.read_text() or "no filter" in victim.err.read_text():
        pytest.skip(victim.err.read_text().splitlines()[-1])
    assert status == 1
    assert victim.err.read_text() == (
        "learning_gan_train: Input/output error (the disk fails: choose another one)\n"
    )
    assert [path.name for path in run.rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_threads_that_write_one_file_leave_one_whole_file(tmp_path):
    path = tmp_path / "note.txt"
    contents = [bytes([65 + i]) * 100_000 for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda content: [write(path, content) for _ in range(25)], contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]
