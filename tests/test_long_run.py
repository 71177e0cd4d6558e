"""However many epochs a training has, it holds no more than after the first few, and writes what is new."""

import json
from pathlib import Path

import pytest
import victims
from victims import Victim

EPOCHS, EVERY = 100, 10
RECIPE = {"epochs": EPOCHS, "g_hidden_size": 8, "d_hidden_size": 8}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process holds stands in /proc")
def test_a_hundred_epochs_hold_no_more_than_twenty(tmp_path):
    victim = Victim(tmp_path, victims.train_and_measure, tmp_path / "run", RECIPE, EVERY)
    assert victim.wait() == 0, victim.err.read_text()
    rows = [json.loads(line) for line in victim.out.read_text().splitlines()]
    for row in rows:
        print(row)
    early, late = rows[1], rows[2:]
    assert [row["epoch"] for row in rows] == list(range(EVERY, EPOCHS + 1, EVERY))
    assert {(row["graphs"], row["operations"]) for row in late} == {(early["graphs"], early["operations"])}
    assert max(row["files"] for row in late) <= early["files"] + 3  # one may just be being written
    assert max(row["threads"] for row in late) <= early["threads"] + 3
    assert max(row["memory"] for row in late) <= max(row["memory"] for row in rows[:3]) + 20_000
    # On the disk an epoch leaves its samples and a line; all else is there once.
    run = tmp_path / "run"
    sizes = {path.relative_to(run).parts[0]: path.stat().st_size for path in run.rglob("*") if path.is_file()}
    samples = [path.stat().st_size for path in (run / "samples").iterdir()]
    assert len(samples) == EPOCHS and max(samples) < 16 * 784 * 4 + 200
    assert len(list((run / "checkpoints").iterdir())) == 2
    assert sizes["history.csv"] < EPOCHS * 150 and sizes["samples.npz"] < EPOCHS * (16 * 784 * 4 + 200)
