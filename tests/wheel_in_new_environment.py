"""Install the wheel into a new environment and train there. `make wheel-test` runs this: it downloads TensorFlow."""

import subprocess
import sys

from test_wheel import run_commands, wheel

__all__ = ["wheel"]


def test_commands_run_in_a_new_environment(root, wheel, bare_env, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    scripts = tmp_path / "venv" / "bin"
    install = [scripts / "python", "-m", "pip", "install", "-q", "-c", root / "constraints.txt", wheel]
    subprocess.run(install, check=True, timeout=900)
    assert not (scripts / "nbdev_export").exists()
    run_commands(lambda name: [scripts / name], bare_env, tmp_path / "run")
