"""The studies' runner, the results that chapters read, and that their scripts still make such files."""

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

from learning_gan.court import SCORES, VARIANTS
from learning_gan.data import load_mnist
from learning_gan.recipe import HyperParameters, recipe
from learning_gan.ruler import CLASSIFIER_SHA256
from learning_gan.scorecard import MEASURES
from learning_gan.semi import AVERAGE, EPSILONS, RECIPE
from learning_gan.studies import find_results, load_results, read_result, save_study

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "nbs" / "results"
SCORE = {*MEASURES, "kid_ci95", "histogram"}
STUDIES = ROOT / "tools"
TRAIN_SPEED = ROOT / "benchmarks" / "train_speed.py"


def check_provenance(about, command, epochs, seeds):
    "Command, date, versions, machine, data and classifier of a study of the post's recipe."
    assert about["command"] == command
    assert len(about["date"].split("-")) == 3
    assert {"python", "numpy", "tensorflow", "keras", "learning_gan"} <= set(about["versions"])
    assert {"cpu", "cores", "kernel"} <= set(about["machine"])
    assert HyperParameters(**about["recipe"]) == HyperParameters(epochs=epochs)
    assert about["data"]["name"] == "mnist" and len(about["data"]["sha256"]) == 64
    assert about["classifier_sha256"] == CLASSIFIER_SHA256
    assert about["seeds"] == seeds and about["threads"] == 1


def check_baseline(study, seeds, epochs, every):
    "Scores and curves of each seed, all within their ranges."
    assert [run["seed"] for run in study["runs"]] == seeds
    for score in [study["real"], study["noise"], *[run["generated"] for run in study["runs"]]]:
        assert set(score) == SCORE
        assert np.isclose(sum(score["histogram"]), 1) and 0 <= score["digits_covered"] <= 10
        assert all(0 <= score[key] <= 1 for key in ("precision", "recall", "coverage", "memorisation"))
    for run in study["runs"]:
        assert [one["epoch"] for one in run["curve"]] == list(range(every, epochs + 1, every))
    for key in MEASURES:
        values = [run["generated"][key] for run in study["runs"]]
        assert study["means"][key]["mean"] == pytest.approx(np.mean(values))


def check_parity(study, seeds):
    "Fréchet distance and digit shares of each seed of both implementations, and their comparison."
    assert set(study["runs"]) == {"keras", "graph"}
    for runs in study["runs"].values():
        assert [run["seed"] for run in runs] == seeds
        assert all(run["frechet"] > 0 and np.isclose(sum(run["histogram"]), 1) for run in runs)
    shares = [[run["histogram"][9] for run in runs] for runs in study["runs"].values()]
    t = stats.ttest_ind(*shares, equal_var=False).statistic  # NaN where nothing varies, as in the small study
    assert study["compared"]["share"]["t"] == pytest.approx(np.nan_to_num(t))
    assert all(0 < study["compared"][name]["p"] <= 1 for name in ("share", "frechet"))
    assert np.argmax(np.abs(study["raised"]["t"])) == 9 and 0.001 < study["raised"]["p"] < 0.003


def check_recipes(study, recipes):
    "Scores of the last weights, and of their average, of each seed of each recipe."
    about = study["provenance"]
    assert about["command"] == "make study-recipes" and about["classifier_sha256"] == CLASSIFIER_SHA256
    assert set(study["real"]) == SCORE
    for name, one in study["recipes"].items():
        assert HyperParameters(**one["recipe"]) == recipes[name]
        assert [score["seed"] for score in one["runs"]] == one["seeds"] and len(one["seeds"]) > 1
        assert set(one["means"]) == {"generated", "averaged"}
        for kind, means in one["means"].items():
            values = [score[kind]["frechet"] for score in one["runs"]]
            assert means["frechet"]["mean"] == pytest.approx(np.mean(values))
            assert set(one["runs"][0][kind]) >= SCORE


def run(script, *arguments):
    "Run a study's script in this environment."
    command = [sys.executable, ROOT / script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# Results


def test_baseline():
    study = json.loads((RESULTS / "baseline.json").read_text())
    check_provenance(study["provenance"], "make study-scores", epochs=100, seeds=list(range(20)))
    check_baseline(study, list(range(20)), epochs=100, every=10)


def test_parity():
    study = json.loads((RESULTS / "parity.json").read_text())
    check_provenance(study["provenance"], "make study-parity", epochs=20, seeds=list(range(100, 130)))
    check_parity(study, list(range(100, 130)))


def test_recipes():
    study = json.loads((RESULTS / "recipes.json").read_text())
    check_recipes(study, {name: recipe(name) for name in study["recipes"]})
    assert {"tuned", "dcgan"} <= set(study["recipes"])


def check_court(study, epochs):
    "Every score of every variant and seed; where a training diverged there is none."
    assert study["provenance"]["command"] == "make court" and study["provenance"]["epochs"] == epochs
    assert study["provenance"]["classifier_sha256"] == CLASSIFIER_SHA256
    for entry in study["variants"]:
        variant = VARIANTS[entry["name"]]
        assert entry["bench"] in variant.benches and entry["tip"] == variant.tip
        assert entry["seeds"] == sorted(set(entry["seeds"])) and len(entry["seeds"]) >= 2
        for name in SCORES:
            assert len(entry[name]) == len(entry["seeds"])
            assert all(value is None or value >= 0 for value in entry[name])
    assert 0 < study["real"]["frechet"] < study["noise"]["frechet"]
    assert study["check"]["found"]["frechet"][0] < study["noise"]["frechet"]


def test_court():
    path = RESULTS / "court.json"
    check_court(json.loads(path.read_text()), epochs=30)
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize("folder", [ROOT, ROOT / "nbs", ROOT / "tests"])
def test_results_are_found_from_any_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert find_results("baseline.json").samefile(RESULTS / "baseline.json")
    assert load_results("parity")["raised"]["runs"]


# Scripts


@pytest.fixture
def whole_mnist():
    if load_mnist().name != "mnist":
        pytest.skip("a study of the whole MNIST, which is not here")


@pytest.mark.slow
def test_a_small_baseline(tmp_path, whole_mnist):
    small = ["--seeds", 3, 4, "--epochs", 1, "--n", 200, "--runs", tmp_path, "--out", tmp_path]
    run("tools/study_scores.py", *small)
    study = json.loads((tmp_path / "baseline.json").read_text())
    check_provenance(study["provenance"], "make study-scores", epochs=1, seeds=[3, 4])
    check_baseline(study, [3, 4], epochs=1, every=1)
    made_by, arrays = read_result(tmp_path / "baseline.npz")
    assert made_by["arguments"]["seed"] == 3 and arrays["epochs"].tolist() == [1]


@pytest.mark.slow
def test_a_small_study_of_recipes(tmp_path, whole_mnist):
    small = ["--recipes", "tuned", "--seeds", 0, 1, "--epochs", 1, "--n", 200, "--runs", tmp_path]
    run("tools/study_recipes.py", *small, "--out", tmp_path)
    study = json.loads((tmp_path / "recipes.json").read_text())
    check_recipes(study, {"tuned": recipe("tuned", epochs=1)})
    small[-1] = tmp_path / "elsewhere"
    run("tools/study_recipes.py", *small[:1], "dcgan", *small[1:], "--so-far", "--out", tmp_path)
    again = json.loads((tmp_path / "recipes.json").read_text())
    assert again["recipes"] == study["recipes"]  # what is not done is left out, and what is known is kept


@pytest.mark.slow
def test_a_small_court_does_not_hear_again_what_it_knows(tmp_path, whole_mnist):
    small = ["--variants", "as_is", "--benches", "steady", "--seeds", 2, "--epochs", 1, "--n", 200]
    small += ["--out", tmp_path / "court.json"]
    run("tools/study_court.py", *small, "--runs", tmp_path / "runs")
    study = json.loads((tmp_path / "court.json").read_text())
    check_court(study, epochs=1)
    assert [entry["seeds"] for entry in study["variants"]] == [[0, 1]]
    run("tools/study_court.py", *small, "--runs", tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()
    assert json.loads((tmp_path / "court.json").read_text()) == study


@pytest.mark.slow
def test_a_small_study_of_labels(tmp_path, whole_mnist, monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    import study_labels

    recipe = RECIPE | dict(g_hidden_size=2, d_hidden_size=8, batch_size=5_500, epochs=2)
    run = tmp_path / "first-20-3"
    one = study_labels.with_generator("first", str(run), 20, 3, recipe)
    assert (one["arm"], one["labels"], one["seed"], one["n_test"]) == ("first", 20, 3, 10_000)
    assert len(one["curve"]) == 2 and one["curve"][-1] == one["errors"]
    study_labels.save_pictures(run, run, (1, 2), tmp_path)
    with np.load(tmp_path / "hundred_labels.npz") as npz:
        assert npz["drawn"].shape == (32, 784) and npz["lost"].shape == (2, 16, 784)
        assert len(npz["wrong"]) == len(npz["taken_for"]) == one["errors"]


@pytest.mark.slow
def test_a_study_of_labels_does_not_train_again_what_it_knows(tmp_path, whole_mnist):
    known = [{"arm": "plain", "labels": 20, "seed": seed, "errors": 1} for seed in (0, 1)]
    fixed = {"average": AVERAGE, "epsilons": list(EPSILONS)}
    save_study(tmp_path / "hundred_labels.json", {"recipe": RECIPE | fixed}, runs=known)
    small = ["--arms", "plain", "--labels", 20, "--seeds", 2, "--out", tmp_path]
    run("tools/study_labels.py", *small, "--runs", tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.slow
@pytest.mark.parity
def test_a_small_comparison(tmp_path, whole_mnist):
    small = ["--seeds", 2, 3, "--epochs", 1, "--batch-size", 1000, "--n", 200]
    run("benchmarks/study_parity.py", *small, "--runs", tmp_path, "--out", tmp_path / "parity.json")
    check_parity(json.loads((tmp_path / "parity.json").read_text()), [2, 3])


# The runner

SLEEPERS = """
import sys, time
from learning_gan.studies import Job, run_jobs

def sleep(seconds):
    time.sleep(seconds)
    return {}

if __name__ == "__main__":
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
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    command = [sys.executable, script, tmp_path / "study"]
    study = subprocess.Popen(command, stderr=subprocess.DEVNULL)
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
def test_a_race_outlives_its_contenders(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(TRAIN_SPEED.parent)
    import train_speed

    racers = tmp_path / "racers.py"
    racers.write_text(RACERS)
    monkeypatch.setattr(train_speed, "__file__", str(racers))
    times = train_speed.run_race("post", ["talks", "dies in round 1", "runs"], rounds=3)
    assert {name: len(ms) for name, ms in times.items()} == {"talks": 3, "runs": 3}
    assert "left out: dies in round 1 (out of breath)" in capsys.readouterr().out
