"""The results that chapters read, the studies that make them, the runner, changes in a fresh process, and the race."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import studies
from benchmarks import __main__ as bench
from learning_gan.measure.scoring import MEASURES
from learning_gan.parts.data import load_mnist
from learning_gan.parts.recipes import recipe
from learning_gan.trials.changes import CHANGES, FAILURES, SCORES, train_change
from learning_gan.trials.studies import find_results, load_results

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "nbs" / "results"
SCORE = {*MEASURES, "kid_ci95", "histogram"}
NAMES = ("court", "labels", "museum", "parity", "recipes", "scores")


def study_of(name):
    return importlib.import_module(f"studies.{name}").STUDY


def check_runs(study, kept):
    "Every run is of a cell that the study knows, says what it was made with, and can be packed again."
    about, runs = kept["provenance"], study.unpack(kept)
    assert about["command"] == f"make study NAME={study.name}" and len(about["date"].split("-")) == 3
    assert {"python", "numpy", "tensorflow", "keras"} <= set(about["versions"]) and about["machine"][
        "cores"
    ] >= 1
    assert runs and {cell for cell, _ in runs} <= set(study.cells)
    assert all(about[key] == value for key, value in study.about.items())
    for run in runs.values():
        assert run["made"] is None or about["made"][run["made"]]["threads"] == 1
    for made in about["made"]:
        assert {"commit", "code", "date", "machine", "versions"} <= set(made) and "flags" in made["machine"]


def check_scores(kept):
    "Scores and curves of each seed, all within their ranges."
    epochs, every = (kept["provenance"][key] for key in ("epochs", "every"))
    assert kept["recipe"]["epochs"] == epochs
    for score in [kept["real"], kept["noise"], *[run["generated"] for run in kept["runs"]]]:
        assert set(score) == SCORE
        assert np.isclose(sum(score["histogram"]), 1) and 0 <= score["digits_covered"] <= 10
        assert all(0 <= score[key] <= 1 for key in ("precision", "recall", "coverage", "memorisation"))
    for run in kept["runs"]:
        assert [one["epoch"] for one in run["curve"]] == list(range(every, epochs + 1, every))
    for key in MEASURES:
        assert kept["means"][key]["mean"] == pytest.approx(
            np.mean([r["generated"][key] for r in kept["runs"]])
        )


def check_parity(kept):
    "Fréchet distance and digit shares of each seed of both implementations, and their comparison."
    for runs in kept["runs"].values():
        assert all(run["frechet"] > 0 and np.isclose(sum(run["histogram"]), 1) for run in runs)
    shares = [[run["histogram"][9] for run in runs] for runs in kept["runs"].values()]
    t = stats.ttest_ind(*shares, equal_var=False).statistic  # NaN where nothing varies, as in the small study
    assert kept["compared"]["share"]["t"] == pytest.approx(np.nan_to_num(t))
    assert all(0 < kept["compared"][name]["p"] <= 1 for name in ("share", "frechet"))
    assert np.argmax(np.abs(kept["raised"]["t"])) == 9 and 0.001 < kept["raised"]["p"] < 0.003


def check_recipes(kept):
    "Scores of the last weights, and of their average, of each seed of each recipe."
    assert set(kept["real"]) == SCORE
    for one in kept["recipes"].values():
        assert [score["seed"] for score in one["runs"]] == one["seeds"] and len(one["seeds"]) > 1
        assert set(one["means"]) == {"generated", "averaged"}
        for kind, means in one["means"].items():
            values = [score[kind]["frechet"] for score in one["runs"]]
            assert (
                means["frechet"]["mean"] == pytest.approx(np.mean(values))
                and set(one["runs"][0][kind]) >= SCORE
            )


def check_court(kept):
    "Every score of every change and seed; where a training diverged there is none."
    for entry in kept["variants"]:
        change = CHANGES[entry["name"]]
        assert entry["bench"] in change.baselines and entry["tip"] == change.tip
        assert entry["seeds"] == sorted(set(entry["seeds"])) and len(entry["seeds"]) >= 2
        for name in (*SCORES, "made"):
            assert len(entry[name]) == len(entry["seeds"])
            assert all(value is None or value >= 0 for value in entry[name])
    assert 0 < kept["real"]["frechet"] < kept["noise"]["frechet"]
    assert kept["check"]["found"]["frechet"][0] < kept["noise"]["frechet"]


def check_labels(kept):
    "Errors of each run, with their curve where there is a generator; no interval of counts goes below 0."
    for run in kept["runs"]:
        assert 0 <= run["errors"] <= run["n_test"] and run.get("curve", [run["errors"]])[-1] == run["errors"]
    for name, mean in kept["means"].items():
        errors = [run["errors"] for run in kept["runs"] if f"{run['arm']}-{run['labels']}" == name]
        assert mean["mean"] == pytest.approx(np.mean(errors)) and mean["ci95"][0] >= 0


CHECKS = {"scores": check_scores, "parity": check_parity, "recipes": check_recipes, "court": check_court}
CHECKS |= {"labels": check_labels, "museum": lambda kept: None}  # test_diagnosis looks at its records


# Results


@pytest.mark.parametrize("name", NAMES)
def test_results(name):
    study, kept = study_of(name), json.loads((RESULTS / f"{study_of(name).file}.json").read_text())
    check_runs(study, kept)
    CHECKS[name](kept)
    assert all(kept["provenance"][key] == value for key, value in study.how.items())


def test_there_are_all_seeds_of_the_book():
    missing = [
        (name, *key)
        for name in NAMES
        for key in {(cell, seed) for cell, seeds in study_of(name).cells.items() for seed in seeds}
        - set(study_of(name).unpack(load_results(study_of(name).file)))
    ]
    assert sorted(missing) == [("labels", "long/100", seed) for seed in (18, 19)]  # as chapter 36 says


@pytest.mark.parametrize("folder", [ROOT, ROOT / "nbs", ROOT / "nbs" / "read", ROOT / "tests"])
def test_results_are_found_from_any_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert find_results("baseline.json").samefile(RESULTS / "baseline.json")
    assert load_results("parity")["raised"]["runs"]


def test_results_are_read_without_tensorflow():
    code = "import sys; from learning_gan.trials import studies, trial; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


# Studies


@pytest.fixture
def whole_mnist():
    if load_mnist().name != "mnist":
        pytest.skip("a study of the whole MNIST, which is not here")
    studies.mnist.cache_clear()


SMALL = {
    "scores": ["--seeds", "2", "--set", "epochs=1", "n=200", "curve_n=100", "every=1"],
    "recipes": ["--only", "tuned", "--seeds", "2", "--set", "epochs=1", "n=200"],
    "court": ["--only", "steady/as_is", "--seeds", "2", "--set", "epochs=1", "n=200"],
    "museum": ["--only", "undertrained", "--seeds", "2", "--set", "shown=1", "n=200"],
    "labels": ["--only", "gan/20", "--seeds", "2", "--set", "epochs=1", "g_hidden_size=2", "d_hidden_size=8"],
    "parity": ["--seeds", "2", "--set", "epochs=1", "batch_size=1000", "n=200"],
}
BESIDE = {"scores": "baseline.keras", "museum": "museum.npz"}  # what a study leaves beside its results


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_small_study_does_not_train_again_what_it_knows(name, tmp_path, whole_mnist):
    study, out = study_of(name), ["--out", str(tmp_path)]
    study.main([*SMALL[name], *out, "--runs", str(tmp_path / "runs")])
    kept = json.loads((tmp_path / f"{study.file}.json").read_text())
    check_runs(study, kept)
    CHECKS[name](kept)
    assert (tmp_path / BESIDE.get(name, ".")).exists()
    study.main([*SMALL[name], *out, "--runs", str(tmp_path / "elsewhere")])
    assert not (tmp_path / "elsewhere").exists()
    assert json.loads((tmp_path / f"{study.file}.json").read_text()) == kept


@pytest.mark.long
def test_pictures_of_a_study_of_labels(tmp_path, whole_mnist):
    labels = importlib.import_module("studies.labels")
    small = dict(g_hidden_size=2, d_hidden_size=8, batch_size=5_500, epochs=2)
    one = labels.do(tmp_path / "first-20-3.json", "first/20", 3, **small)
    assert (one["arm"], one["labels"], one["seed"], one["n_test"]) == ("first", 20, 3, 10_000)
    assert len(one["curve"]) == 2 and one["curve"][-1] == one["errors"]
    found = labels.pictures(tmp_path / "first-20-3", tmp_path / "first-20-3", (1, 2))
    assert found["drawn"].shape == (32, 784) and found["lost"].shape == (2, 16, 784)
    assert len(found["wrong"]) == len(found["taken_for"]) == one["errors"]


# Changes

FRESH = """
import sys
from learning_gan.measure.records import read_run
from learning_gan.run.folder import read_config
from learning_gan.run.sampling import load_generator, sample

for run in sys.argv[1:]:
    assert sample(load_generator(run), 2).shape == (2, 28, 28, 1), run
    assert read_run(run).epochs == 1, run
    print(read_config(run)["recipe"])
assert "learning_gan.trials.trial" not in sys.modules
"""


@pytest.mark.slow
def test_a_fresh_process_reads_what_a_change_has_left(tmp_path):
    quick = dict(epochs=1, batch_size=5_000, g_hidden_size=4, d_hidden_size=4)
    changes = {name: FAILURES[name] for name in ("shared_step", "swapped")}  # a model, a loss
    changes |= {
        name: CHANGES[name] for name in ("norm_joined", "linear")
    }  # networks, with a loss and without
    for name, change in changes.items():
        assert train_change(change, load_mnist("embedded"), tmp_path / name, baseline="steady", **quick)
    done = subprocess.run(
        [sys.executable, "-c", FRESH, *map(str, tmp_path.iterdir())], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(changes)


def test_changes_name_recipes_that_are_registered():
    for change in (FAILURES | CHANGES).values():
        assert all(change.recipe(baseline).epochs >= 1 for baseline in change.baselines)
    assert CHANGES["as_is"].recipe("steady") == recipe("steady", epochs=30)


# The runner

SLEEPERS = """
import sys, time
from learning_gan.trials.studies import Job, run_jobs

def sleep(path, seconds):
    time.sleep(seconds)
    return {}

def main():
    run_jobs([Job(f"{i}.json", sleep, {"seconds": 600}) for i in range(9)], sys.argv[1], workers=2)
"""


def workers_of(parent):
    "The process ids of the workers that a study has started."
    children = Path(f"/proc/{parent}/task/{parent}").parent.glob("*/children")
    return [int(pid) for path in children for pid in path.read_text().split()]


def is_running(pid):
    "A zombie, which only waits to be asked how it ended, is not."
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def study_and_workers(tmp_path):
    "A study whose two workers have begun, and their process ids."
    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    command = [sys.executable, "-c", "import sleepers; sleepers.main()", tmp_path / "study"]
    study = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path)
    while len(workers := workers_of(study.pid)) < 2:
        time.sleep(0.05)
    return study, workers


@pytest.mark.kill
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_an_interrupted_study_leaves_no_worker_behind(tmp_path, study_and_workers):
    study, workers = study_and_workers
    study.send_signal(signal.SIGINT)
    assert study.wait(timeout=30) != 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert len(list((tmp_path / "study").glob("*.json"))) == 0


@pytest.mark.kill
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_soon_after_a_study_that_is_killed(tmp_path, study_and_workers, end):
    study, workers = study_and_workers
    study.send_signal(end)
    assert study.wait(timeout=30) == -end
    patience = time.monotonic() + 30
    while any(map(is_running, workers)):
        assert time.monotonic() < patience
        time.sleep(0.05)
    assert len(list((tmp_path / "study").glob("*.json"))) == 0


# The race

RACERS = """
import os, sys, time

name, reply = sys.argv[-1], os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for i, _ in enumerate(sys.stdin):
    if name == "talks":
        print("a line that nobody reads\\n" * 50_000, flush=True)
    if name == "dies in round 1" and i == 1:
        if os.fork():
            sys.exit("out of breath")
        time.sleep(60)  # a child that keeps the pipe of the dead open
    print(0.01, file=reply, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_race_outlives_its_contenders(capsys, monkeypatch):
    monkeypatch.setattr(bench, "COMMAND", [sys.executable, "-c", RACERS])
    names = ["talks", "dies in round 1", "runs"]
    times = bench.run_race("post", [bench.Worker("post", name) for name in names], rounds=3)
    assert {name: len(ms) for name, ms in times.items()} == {"talks": 3, "runs": 3}
    assert "left out: dies in round 1 (out of breath)" in capsys.readouterr().out


def test_times_of_two_machines_are_kept_apart(tmp_path, monkeypatch):
    bench.keep(tmp_path / "speed.json", "post", {"ours": [1.0]})
    monkeypatch.setattr(bench, "provenance", lambda **more: {"machine": {"cpu": "another"}})
    with pytest.raises(SystemExit, match="of another machine \\(post\\)"):
        bench.keep(tmp_path / "speed.json", "dcgan", {"ours": [1.0]})
    assert set(json.loads((tmp_path / "speed.json").read_text())) == {"post"}
