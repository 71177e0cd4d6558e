"""Training processes to be killed, starved and interrupted.

Loading TensorFlow and the images takes seconds, so a server that has loaded them, and has not used them yet, forks a new
process for each trial; what runs there is the command, as it is.
"""

import ctypes
import errno
import importlib
import itertools
import json
import os
import platform
import pty
import resource
import shutil
import signal
import struct
import sys
import threading
import time
from multiprocessing import forkserver, get_context
from pathlib import Path
from unittest import mock

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(
    ["learning_gan.run.training", "learning_gan.run.viewing", "learning_gan.parts.sources"]
)
LOCK = threading.Lock()  # multiprocessing does not let two threads look after its processes at once


def start_server() -> None:
    "Start the server where it does not run yet; it finds the modules that lie here."
    with mock.patch.dict(os.environ, PYTHONPATH=os.fspath(Path(__file__).parent)):
        forkserver.ensure_running()


class Victim:
    "A process that runs `work(*args)`; what it prints lies in two files of `folder`."

    def __init__(self, folder: Path, work, *args):
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        self.out.write_bytes(b"")
        self.err.write_bytes(b"")
        self.process = FORKS.Process(target=_start, args=(self.out, self.err, work, *args))
        with LOCK:
            start_server()
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
    getattr(importlib.import_module("learning_gan.app.commands"), f"{name}_command")()


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


def die_within_write(stem: str, n: int) -> None:
    "Be killed in the middle of the n-th write to the archives of that name: every npz and every `.keras` is one."
    import zipfile

    original, calls = zipfile._ZipWriteFile.write, itertools.count(1)

    def write(self, data):
        if Path(self._zipfile.filename).name.startswith(f".{stem}") and next(calls) == n:
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


def note_writes(log: Path) -> None:
    "Note every path that Python opens for writing from here on."
    notes, writing = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), os.O_WRONLY | os.O_RDWR

    def hook(event, args):
        if event == "open" and args[2] and args[2] & writing:
            os.write(notes, f"{args[0]}\n".encode())

    sys.addaudithook(hook)


SYNC_CALLS = {  # fsync, fdatasync, sync, sync_file_range, syncfs, msync
    "x86_64": (74, 75, 162, 277, 306, 26),
    "aarch64": (82, 83, 81, 84, 267, 227),
}


def fail_to_sync() -> None:
    "Let every system call that waits for the disk fail with EIO, whoever makes it; raises `OSError` if that can't be."
    if sys.platform != "linux" or platform.machine() not in SYNC_CALLS:
        raise OSError(f"no filter for {sys.platform} on {platform.machine()}")
    load_number, jump_if_equal, give_back = 0x20, 0x15, 0x06
    fail, allow = 0x0005_0000 | errno.EIO, 0x7FFF_0000
    numbers = SYNC_CALLS[platform.machine()]
    program = [(load_number, 0, 0, 0)]
    program += [(jump_if_equal, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    program += [(give_back, 0, 0, allow), (give_back, 0, 0, fail)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_filter, filter_mode = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_filter, filter_mode, filters, 0, 0):
        raise OSError(ctypes.get_errno(), "this process may not filter its system calls")


# Other work


def save_where_syncing_fails(theirs: Path, ours: Path) -> None:
    "Save a state with TensorFlow's checkpoint manager and with ours, on a disk that can't promise to keep anything."
    import numpy as np

    from learning_gan.core.backend import tf
    from learning_gan.run.checkpoints import save_checkpoint

    checkpoint = tf.train.Checkpoint(w=tf.Variable(np.arange(3.0)))
    manager = tf.train.CheckpointManager(checkpoint, theirs, max_to_keep=2)
    save_checkpoint(ours, 1, {"w": np.arange(3.0)})
    try:
        fail_to_sync()
    except OSError as error:
        print(f"no filter here: {error}")
        return
    print("tf:", manager.save())
    try:
        save_checkpoint(ours, 2, {"w": np.arange(3.0)})
    except OSError as error:
        print("ours:", errno.errorcode[error.errno])


def train_with_callbacks(run: Path, hyperparameters: dict, seed: int) -> None:
    "Train with callbacks that use up random numbers and look at the model; nothing may depend on them."
    import numpy as np

    from learning_gan.core.backend import keras, tf
    from learning_gan.parts.data import load_mnist
    from learning_gan.parts.recipes import HyperParameters
    from learning_gan.run.training import train

    class Curious(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            np.random.random(5)  # noqa: NPY002, the global generator is the point
            tf.random.normal([3])
            self.model(tf.random.uniform([2, hp.z_size]))

    hp = HyperParameters(**hyperparameters)
    train(
        hp, load_mnist("embedded"), run, seed, callbacks=[Curious(), keras.callbacks.History()], block_size=30
    )


def held() -> dict[str, int]:
    "What this process holds: memory in kB, threads, open files, TensorFlow's graphs and the operations in them."
    import gc

    from learning_gan.core.backend import tf

    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    gc.collect()
    graphs = [thing for thing in gc.get_objects() if isinstance(thing, tf.Graph)]
    return {
        "memory": int(status["VmRSS"].split()[0]),
        "threads": int(status["Threads"]),
        "files": len(os.listdir("/proc/self/fd")),
        "graphs": len(graphs),
        "operations": sum(len(graph.get_operations()) for graph in graphs),
    }


def train_and_measure(run: Path, hyperparameters: dict, every: int) -> None:
    "Train epochs of 5,500 images, and print as a line of JSON what the process holds after every so many of them."
    from learning_gan.core.backend import keras
    from learning_gan.parts import recipes as recipe
    from learning_gan.parts.data import load_mnist
    from learning_gan.parts.recipes import HyperParameters
    from learning_gan.run.training import train

    def measure(epoch, logs):
        if (epoch + 1) % every == 0:
            print(json.dumps({"epoch": epoch + 1, **held()}), flush=True)

    recipe.EPOCH_IMAGES = 5_500
    watcher = keras.callbacks.LambdaCallback(on_epoch_end=measure)
    train(HyperParameters(**hyperparameters), load_mnist("embedded"), run, callbacks=[watcher], verbose=False)


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
