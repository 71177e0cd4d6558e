"""What is loaded when: the package and the commands' help must not pay for TensorFlow."""

import json

import processes

HEAVY = ["tensorflow", "keras", "matplotlib", "sklearn", "pandas", "mlxtend"]
PROGRAM = f"""
import json, runpy, sys
def report(): print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
import learning_gan
report()
for script in sys.argv[1:]:
    sys.argv = [script, "--help"]
    try: runpy.run_path(script, run_name="__main__")
    except SystemExit as end: assert not end.code, end
    report()
import matplotlib
report()
"""


def test_importing_the_package_and_the_help_of_its_commands_load_nothing_heavy(settings, bare_env):
    names = [line.split("=")[0] for line in settings["console_scripts"].split()]
    scripts = [processes.scripts() / name for name in names]
    done = processes.cold("python", "-c", PROGRAM, *scripts, env=bare_env)
    assert (done.returncode, done.stderr) == (0, "")
    *loaded, seen = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert loaded == [[]] * (1 + len(names)) and seen == ["matplotlib"]  # the probe sees what is loaded
    assert all(f"usage: {name}" in done.stdout for name in names)
