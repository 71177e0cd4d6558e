"""The wheel holds the package and nothing else, and runs on its declared needs alone."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SOURCES = ["LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "settings.ini", "setup.py"]
# Used only where they are loaded already, that is in a notebook.
IN_A_NOTEBOOK = {"IPython", "matplotlib_inline"}
# Loaded inside functions that only studies call; the extra `studies` brings them.
IN_STUDIES = {"scipy", "threadpoolctl"}


@pytest.fixture(scope="session")
def wheel(root, tmp_path_factory) -> Path:
    "The wheel built from a copy of the sources, with the setuptools that is installed (no network)."
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copy(root / name, source)
    shutil.copytree(root / "learning_gan", source / "learning_gan")
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-w", out]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_the_package_and_nothing_else(root, settings, wheel):
    info = f"learning_gan-{settings['version']}.dist-info/"
    names = zipfile.ZipFile(wheel).namelist()
    package = {
        p.relative_to(root).as_posix()
        for p in (root / "learning_gan").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert {name for name in names if not name.startswith(info)} == package
    assert info + "licenses/LICENSE" in names
    assert wheel.stat().st_size < 5_000_000


def test_wheel_says_what_settings_say(root, settings, wheel):
    info = f"learning_gan-{settings['version']}.dist-info/"
    archive = zipfile.ZipFile(wheel)
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


def test_package_imports_only_what_it_declares(root, settings):
    declared = {canonicalize_name(Requirement(line).name) for line in settings["requirements"].split()}
    provided = packages_distributions()
    known = sys.stdlib_module_names | {"learning_gan"} | IN_A_NOTEBOOK | IN_STUDIES
    undeclared = {
        f"{module.name}: {name}"
        for module in (root / "learning_gan").glob("*.py")
        for name in imported(module) - known
        if not declared & {canonicalize_name(found) for found in provided.get(name, [])}
    }
    assert undeclared == set()


@pytest.fixture(scope="session")
def alone(settings, needs_of, wheel, tmp_path_factory):
    "Start a script with a Python that sees the standard library, the wheel and its needs, and nothing else."
    folder = tmp_path_factory.mktemp("alone")
    site = folder / "site-packages"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        site,
        wheel,
    ]
    subprocess.run(command, check=True, timeout=120)
    for name in needs_of(map(Requirement, settings["requirements"].split())):
        found = distribution(name)
        for top in {Path(file).parts[0] for file in found.files} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))
    start = folder / "start.py"
    start.write_text(f"""
import runpy, sys
sys.path.append({str(site)!r})
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
""")

    def launch(script: str | Path) -> list[str]:
        "The command for `script`, a path or the name of one of the wheel's commands."
        return [sys.executable, "-I", "-S", os.fspath(start), os.fspath(site / "bin" / script)]

    return launch


def test_alone_sees_no_development_package(alone, bare_env, tmp_path):
    probe = tmp_path / "probe.py"
    probe.write_text("""
from importlib.util import find_spec
print([name for name in ("learning_gan", "keras", "nbdev", "IPython", "pytest") if find_spec(name)])
""")
    done = subprocess.run(alone(probe), env=bare_env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['learning_gan', 'keras']"


def run_commands(launch, env: dict, run: Path) -> None:
    "One epoch on the embedded digits and four new ones, through the commands that `launch` starts."
    for name, arguments in {
        "learning_gan_train": ["--data", "embedded", "--epochs", "1", "--out", run],
        "learning_gan_sample": ["--run", run, "--n", "4", "--out", run / "new.png"],
    }.items():
        command = [os.fspath(part) for part in [*launch(name), *arguments]]
        done = subprocess.run(command, cwd=run.parent, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (run / "generator.keras").is_file()
    assert (run / "new.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_commands_run_on_the_declared_needs_alone(alone, bare_env, tmp_path):
    run_commands(alone, bare_env, tmp_path / "run")
