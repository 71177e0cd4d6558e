"""A training run that is killed and started again has to end in the same bytes."""

import subprocess
import time
from pathlib import Path


def assert_same_after_a_kill(command: list, run: Path, finished: Path, names: list[str]) -> None:
    "Kill a command once its first epoch is on the disk, give it again, and compare files with a run left in peace."
    command = [*map(str, command)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not list((run / "checkpoints").glob("epoch_*.npz")):
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.wait()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.startswith("resuming after epoch")
    for name in names:
        assert (run / name).read_bytes() == (finished / name).read_bytes(), name
