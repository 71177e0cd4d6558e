"""What is loaded when: the package and the commands' help must not pay for TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["tensorflow", "keras", "matplotlib", "sklearn", "pandas", "mlxtend"]
REPORT = f"import json, sys; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"


def heavy_after(code: str, env: dict) -> list[str]:
    "The heavy modules that a fresh process has loaded after running `code`."
    command = [sys.executable, "-c", f"{code}\n{REPORT}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_probe_sees_what_is_loaded(bare_env):
    assert heavy_after("import matplotlib", bare_env) == ["matplotlib"]


def test_importing_the_package_loads_nothing_heavy(bare_env):
    assert heavy_after("import learning_gan", bare_env) == []


def script_names(settings) -> list[str]:
    return [line.split("=")[0] for line in settings["console_scripts"].split()]


def test_help_loads_nothing_heavy(settings, bare_env):
    for name in script_names(settings):
        script = Path(sys.executable).parent / name
        code = f"""
import runpy, sys
sys.argv = [{name!r}, "--help"]
try:
    runpy.run_path({str(script)!r}, run_name="__main__")
except SystemExit as end:
    assert not end.code, end
"""
        assert heavy_after(code, bare_env) == [], name


def test_help_of_the_installed_commands(settings, bare_env):
    for name in script_names(settings):
        done = subprocess.run([name, "--help"], env=bare_env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert done.stdout.startswith(f"usage: {name}")
        assert done.stderr == ""


@pytest.mark.slow
def test_loading_tensorflow_is_quiet(bare_env):
    command = [
        sys.executable,
        "-c",
        "from learning_gan.core.backend import keras; print(keras.backend.backend())",
    ]
    done = subprocess.run(command, env=bare_env, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "tensorflow", "")
