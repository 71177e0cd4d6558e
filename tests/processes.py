"""Processes that start from nothing, without the seconds that loading TensorFlow takes.

A server that has loaded TensorFlow and the package, and has used neither, forks a process for each request; what runs
there is a command as it is, or a function of a test module. Further down: what is done to such processes.
"""

import errno
import fcntl
import importlib
import itertools
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from multiprocessing import forkserver, get_context
from pathlib import Path
from unittest import mock

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload([
    "learning_gan.run.training", "learning_gan.run.viewing", "learning_gan.run.sampling", "learning_gan.parts.sources",
    "learning_gan.run.hundred_labels", "learning_gan.measure.scoring", "learning_gan.measure.diagnosis",
    "learning_gan.run.pictures", "learning_gan.app.commands", "pytest", "warm",
])  # fmt: skip
LOCK = threading.Lock()  # multiprocessing does not let two threads look after its processes at once


def scripts() -> Path:
    "The folder of the installed commands."
    return Path(sys.executable).parent


def wait_until(done, seconds: float = 240, out: Path = Path(os.devnull)) -> None:
    "Wait for what a process does, whose words are shown where it takes too long."
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"neither done nor dead: {out.read_text(errors='replace')}"
        time.sleep(0.01)


class Process:
    "A process that does `work(*args)` after `prepare()`; what it prints lies in two files of `folder`."

    def __init__(self, folder: Path, work, *args, prepare=None, env=None, cwd=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        for path in (self.out, self.err):
            path.write_bytes(b"")
        place = (self.out, self.err, env, cwd, prepare)
        self.process = FORKS.Process(target=_start, args=(place, work, *args))
        here = os.pathsep.join([os.fspath(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        with LOCK, mock.patch.dict(os.environ, PYTHONPATH=here):  # the server finds the modules that lie here
            forkserver.ensure_running()
            self.process.start()

    @property
    def status(self) -> int | None:
        "The exit status, negative after a signal; None while it runs."
        with LOCK:
            return self.process.exitcode

    @property
    def epochs(self) -> int:
        "How many lines of epochs it has printed."
        return f"\n{self.out.read_text(errors='replace')}".count("\nEpoch ")

    @property
    def line(self) -> str:
        "The only line on standard error."
        (line,) = self.err.read_text(errors="replace").splitlines()
        return line

    def wait(self, until=lambda: False, seconds: float = 240) -> int | None:
        "Wait for the end, or for `until()`."
        wait_until(lambda: self.status is not None or until(), seconds, self.out)
        return self.status

    def signal(self, number: int) -> None:
        "Send a signal; it is not there any more where it has just finished."
        if self.status is None:
            os.kill(self.process.pid, number)


def _start(place, work, *args):
    out, err, env, cwd, prepare = place
    for path, fd in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, fd)
        os.close(file)
    if env is not None:
        os.environ.clear()
        os.environ.update(env)
    os.chdir(cwd or os.getcwd())
    if prepare:
        prepare()
    command(work, *args) if isinstance(work, str) else work(*args)


def command(name: str, *words) -> None:
    "Run a command of the package in this process."
    getattr(importlib.import_module("learning_gan.app.commands"), f"{name}_command")([*map(str, words)])


def run(work, *args, **how) -> subprocess.CompletedProcess:
    "What a command, by its name, or a function does in a process of its own."
    with tempfile.TemporaryDirectory() as folder:
        process = Process(Path(folder), work, *args, **how)
        process.wait()
        said = [path.read_text(errors="replace") for path in (process.out, process.err)]
    return subprocess.CompletedProcess([work, *args], process.status, *said)


def succeed(work, *args, **how) -> str:
    "What it prints, where it has to end well and without a word on standard error."
    done = run(work, *args, **how)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def refused(name: str, *words, **how) -> str:
    "The one line in which a command refuses."
    done = run(name, *words, **how)
    (line,) = done.stderr.splitlines()
    assert done.returncode in (1, 2) and line.startswith(f"learning_gan_{name}: "), line
    return line


def cold(*words, **how) -> subprocess.CompletedProcess:
    "An installed command, or a Python program, that loads and compiles everything itself: six seconds."
    how["env"] = {name: value for name, value in how.get("env", os.environ).items() if name != "TF_XLA_FLAGS"}
    words = [*map(str, words)]
    program = sys.executable if words[0] == "python" else scripts() / f"learning_gan_{words[0]}"
    return subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=300, **how)


# What can be prepared


def die_at(target: str, n: int, after: bool) -> None:
    "Be killed at the n-th call of a function of `os`: right before it, or right after."
    original, calls = getattr(os, target), itertools.count(1)

    def call(*args):
        last = next(calls) == n
        result = original(*args) if after or not last else None
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, target, call)


def once_written(name: str, do, *args) -> None:
    "Do something when a file of that name has been put in its place, before anything else of the kind is."
    original = os.replace

    def replace(source, target):
        original(source, target)
        if Path(target).name == name:
            do(*args)

    os.replace = replace


def wait_for(path: Path) -> None:
    wait_until(path.exists)


def die_after(seconds: float) -> None:
    "Be ended by the system, unheard, when it has computed for so long: the same on a machine that is busy."
    signal.setitimer(signal.ITIMER_PROF, seconds)


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
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
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


def fail_to_sync() -> None:
    "Let the disk promise nothing."

    def fsync(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    os.fsync = os.fdatasync = fsync
