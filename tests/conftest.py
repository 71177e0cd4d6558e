"""What the tests share: the checkout, its settings, data, the built site and a browser."""

import atexit
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

import chapters
import pytest
from filelock import FileLock
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = chapters.ROOT


def pytest_configure():
    """Let the processes of the tests hear Ctrl-C, which a shell's background jobs are made to ignore.

    What XLA compiles is kept for all of them: half of a short training run is compiling the same program again.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "TF_XLA_FLAGS" not in os.environ:  # the workers have it from whoever started them
        folder = tempfile.mkdtemp()
        os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={folder}"
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def pytest_collection_finish():
    "What is loaded stays: the collector, which a training keeps busy, need not look at it again."
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def root() -> Path:
    "The root of the checkout."
    return ROOT


@pytest.fixture(scope="session")
def settings() -> dict[str, str]:
    "What settings.ini holds."
    return chapters.settings()


def needs_of(requirements) -> set[str]:
    "The names of all projects that requirements bring on this machine."
    todo, seen = list(requirements), set()
    while todo:
        need = todo.pop()
        if (key := (canonicalize_name(need.name), frozenset(need.extras))) not in seen:
            seen.add(key)
            below = [Requirement(line) for line in distribution(need.name).requires or []]
            wanted = ["", *need.extras]
            todo += [r for r in below if not r.marker or any(r.marker.evaluate({"extra": e}) for e in wanted)]
    return {name for name, _ in seen}


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    "Every file git tracks, as a path from the root."
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not a git checkout: {error}")
    return [Path(name) for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def digits():
    "The digits that come with the package."
    from learning_gan.parts.data import load_mnist

    return load_mnist("embedded")


@pytest.fixture(scope="session")
def whole_mnist():
    "All 70,000, where they are at hand."
    from learning_gan.parts.data import DataUnavailable, load_mnist

    try:
        return load_mnist("mnist")
    except DataUnavailable as error:
        pytest.skip(f"needs the whole MNIST: {error}")


@pytest.fixture
def bare_env(tmp_path) -> dict[str, str]:
    "An environment with an empty home and without the variables that steer this project."
    home = tmp_path / "home"
    home.mkdir()
    dropped = ("LEARNING_GAN", "KERAS", "TF_", "JUPYTER", "MPL", "XDG", "PYTHONPATH", "IN_TEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    scripts = os.fspath(Path(sys.executable).parent)
    return kept | {"HOME": os.fspath(home), "PATH": os.pathsep.join([scripts, kept["PATH"]])}


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    "A folder for what is made once for all workers."
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def site(shared) -> Path:
    """The site, built once for all workers by smalldocs, from a copy of what it is made of.

    Where SITE_READY names a folder, the site that was built there is tested instead: before Quarto's is published.
    """
    if ready := os.environ.get("SITE_READY"):
        return Path(ready)
    copy = shared / "site"
    with FileLock(f"{copy}.lock"):
        if not copy.exists():
            build_site(copy)
    assert (copy / "_docs").exists(), "it could not be built: see the first failure"
    return copy / "_docs"


def build_site(copy: Path) -> None:
    "Build it in the folder `copy`, and leave the processor's seconds there."
    unread = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "runs")
    for folder in ("nbs", "tools", "learning_gan"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=unread)
    for file in ("settings.ini", "_quarto.yml"):
        shutil.copy(ROOT / file, copy)
    before = os.times()
    build = [sys.executable, "tools/build_docs.py", "--smalldocs"]
    done = subprocess.run(build, cwd=copy, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    (copy / "seconds.txt").write_text(f"{seconds}")


@pytest.fixture(scope="module")
def address(site):
    "Where the site is served."
    from in_browser import served

    with served(site) as place:
        yield place


@pytest.fixture(scope="module")
def browser():
    "Chromium, without a window."
    from in_browser import chromium

    with chromium() as started:
        yield started
