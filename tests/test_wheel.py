"""The wheel holds the package and nothing else, and runs on its declared needs alone."""

import ast
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from conftest import needs_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SOURCES = ["LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "settings.ini", "setup.py"]
# Used only where they are loaded already, that is in a notebook.
IN_A_NOTEBOOK = {"IPython", "matplotlib_inline"}
# Loaded inside functions that only studies call; the extra `parity` brings them.
IN_STUDIES = {"scipy", "threadpoolctl"}
# Brought for the tests in the chapters, which run wherever the package is installed.
IN_CHAPTERS = {"fastcore"}


def pip(*words, **how) -> None:
    "Run pip in this environment, without a network."
    command = [sys.executable, "-m", "pip", *map(os.fspath, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **how)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel(root, tmp_path_factory) -> Path:
    "The wheel built from a copy of the sources, with the setuptools that is installed."
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copy(root / name, source)
    unread = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "learning_gan", source / "learning_gan", ignore=unread)
    pip("wheel", ".", "--no-deps", "--no-build-isolation", "-w", out, cwd=source)
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_the_package_and_says_what_settings_say(root, settings, wheel):
    archive, info = zipfile.ZipFile(wheel), f"learning_gan-{settings['version']}.dist-info/"
    files = [path for path in (root / "learning_gan").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    package = {path.relative_to(root).as_posix() for path in files}
    assert {name for name in archive.namelist() if not name.startswith(info)} == package
    assert info + "licenses/LICENSE" in archive.namelist() and wheel.stat().st_size < 5_000_000
    metadata = Parser().parsestr(archive.read(info + "METADATA").decode())
    needs = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    declared = [Requirement(line) for line in settings["requirements"].split()]
    assert sorted(str(r) for r in needs if not r.marker) == sorted(map(str, declared))
    assert metadata["Requires-Python"] == f">={settings['min_python']}"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_payload().strip() == (root / "README.md").read_text(encoding="utf-8").strip()
    entries = archive.read(info + "entry_points.txt").decode().split("[console_scripts]")[1].split("[")[0]
    assert sorted(entries.replace(" ", "").split()) == sorted(settings["console_scripts"].split())


def imported(module: Path) -> set[str]:
    "Top-level names that `module` imports anywhere, inside functions too."
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def test_package_imports_what_it_declares_and_declares_what_it_imports(root, settings):
    declared = {canonicalize_name(Requirement(line).name) for line in settings["requirements"].split()}
    provided = packages_distributions()
    known = sys.stdlib_module_names | {"learning_gan"} | IN_A_NOTEBOOK | IN_STUDIES
    names = {name for module in (root / "learning_gan").rglob("*.py") for name in imported(module) - known}
    found = {name: {canonicalize_name(each) for each in provided.get(name, [])} for name in names}
    assert [name for name in names if not declared & found[name]] == []
    assert declared - set().union(*found.values()) == IN_CHAPTERS


@pytest.fixture(scope="session")
def alone(settings, wheel, tmp_path_factory):
    "Start a script with a Python that sees the standard library, the wheel and its needs, and nothing else."
    folder = tmp_path_factory.mktemp("alone")
    site, start = folder / "site-packages", folder / "start.py"
    pip("install", "-q", "--no-deps", "--no-index", "--target", site, wheel)
    for name in needs_of(map(Requirement, settings["requirements"].split())):
        found = distribution(name)
        for top in {Path(file).parts[0] for file in found.files} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))
    start.write_text(f"""
import runpy, sys
sys.path.append({str(site)!r})
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
""")
    return lambda script: [sys.executable, "-I", "-S", start, site / "bin" / script]


CLOSED = "0<&- 1<&- 2<&-"  # as a daemon or a graphical program may have its streams


def run_commands(launch, env: dict, run: Path, streams: str = "") -> None:
    "One epoch on the embedded digits and four new ones, through the commands that `launch` starts."
    for name, arguments, how in (
        ("train", ["--data", "embedded", "--epochs", "1", "--batch_size", "5500", "--out", run], streams),
        ("sample", ["--run", run, "--n", "4", "--out", run / "new.png"], ""),
    ):
        command = shlex.join(map(os.fspath, [*launch(f"learning_gan_{name}"), *arguments]))
        at = dict(cwd=run.parent, env=env, capture_output=True, text=True, timeout=300)
        done = subprocess.run(["bash", "-c", f"{command} {how}"], **at)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (run / "generator.keras").is_file()
    assert (run / "new.png").read_bytes().startswith(b"\x89PNG")


def test_commands_run_on_the_declared_needs_alone_and_with_closed_streams(alone, bare_env, tmp_path):
    probe = tmp_path / "probe.py"
    probe.write_text("""
from importlib.util import find_spec
print([name for name in ("learning_gan", "keras", "nbdev", "IPython", "pytest") if find_spec(name)])
""")
    done = subprocess.run(alone(probe), env=bare_env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['learning_gan', 'keras']"
    run_commands(alone, bare_env, tmp_path / "run", CLOSED)
    assert (tmp_path / "run" / "training.gif").exists()
