"""What is loaded when: the package and the commands' help must not pay for TensorFlow."""

import json

import processes

HEAVY = ["tensorflow", "keras", "matplotlib", "sklearn", "pandas", "mlxtend"]
REPORT = f"import json, sys; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
HELP = """
import runpy, sys
sys.argv = [{name!r}, "--help"]
try:
    runpy.run_path({script!r}, run_name="__main__")
except SystemExit as end:
    assert not end.code, end
"""


def after(code: str, env: dict) -> tuple[str, list[str]]:
    "What a fresh process says while it runs `code`, and the heavy modules that it has loaded then."
    done = processes.cold("python", "-c", f"{code}\n{REPORT}", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    *said, loaded = done.stdout.splitlines()
    return "\n".join(said), json.loads(loaded)


def test_importing_the_package_loads_nothing_heavy(bare_env):
    assert after("import matplotlib", bare_env) == ("", ["matplotlib"])  # the probe sees what is loaded
    assert after("import learning_gan", bare_env) == ("", [])


def test_help_of_the_installed_commands_loads_nothing_heavy(settings, bare_env):
    for line in settings["console_scripts"].split():
        name = line.split("=")[0]
        said, loaded = after(HELP.format(name=name, script=str(processes.scripts() / name)), bare_env)
        assert said.startswith(f"usage: {name}") and loaded == []
