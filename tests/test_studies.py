"""The results that chapters read, the studies that make them, what ends the runner, and the race."""

import contextlib
import importlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import processes
import pytest
from scipy import stats

import studies
from benchmarks import __main__ as bench
from learning_gan.measure.scoring import MEASURES
from learning_gan.parts.recipes import recipe
from learning_gan.trials.changes import CHANGES, FAILURES, SCORES
from learning_gan.trials.studies import load_results

ROOT = Path(__file__).parent.parent
SCORE = {*MEASURES, "kid_ci95", "histogram"}
NAMES = ("failures", "labels", "parity", "recipes", "rulers", "scores", "trial")


def study_of(name):
    return importlib.import_module(f"studies.{name}").STUDY


def check_runs(study, kept):
    "Every run is of a cell that the study knows, says what it was made with, and can be packed again."
    about, runs = kept["provenance"], study.unpack(kept)
    assert about["command"] == f"make study NAME={study.name}" and len(about["date"].split("-")) == 3
    assert {"python", "numpy", "tensorflow", "keras"} <= set(about["versions"])
    assert about["machine"]["cores"] >= 1 and runs and {cell for cell, _ in runs} <= set(study.cells)
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
        found = np.mean([run["generated"][key] for run in kept["runs"]])
        assert kept["means"][key]["mean"] == pytest.approx(found)


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
            found = np.mean([score[kind]["frechet"] for score in one["runs"]])
            assert means["frechet"]["mean"] == pytest.approx(found) and set(one["runs"][0][kind]) >= SCORE


def check_trial(kept):
    "Every score of every change and seed; where a training diverged there is none."
    for entry in kept["variants"]:
        change, seeds = CHANGES[entry["name"]], entry["seeds"]
        assert entry["bench"] in change.baselines and entry["tip"] == change.tip
        assert seeds == sorted(set(seeds)) and len(seeds) >= 2
        assert entry.get("family", "") == change.family
        assert all(len(entry[name]) == len(seeds) for name in (*SCORES, "made"))
        assert all(value is None or value >= 0 for name in (*SCORES, "made") for value in entry[name])
    assert 0 < kept["real"]["frechet"] < kept["noise"]["frechet"]
    assert kept["check"]["found"]["frechet"][0] < kept["noise"]["frechet"]


def check_labels(kept):
    "Errors of each run, with their curve where there is a generator; no interval of counts goes below 0."
    for run in kept["runs"]:
        assert 0 <= run["errors"] <= run["n_test"] and run.get("curve", [run["errors"]])[-1] == run["errors"]
    for name, mean in kept["means"].items():
        errors = [run["errors"] for run in kept["runs"] if f"{run['arm']}-{run['labels']}" == name]
        assert mean["mean"] == pytest.approx(np.mean(errors)) and mean["ci95"][0] >= 0


def check_rulers(kept):
    "The same measures of each run by both rulers, and what they say of each claim that has runs."
    for run in kept["runs"]:
        for ruler in ("first", "second"):
            assert set(run[ruler]) == {"frechet", "precision", "recall", "density", "coverage"}
            assert run[ruler]["frechet"] > 0 and 0 <= run[ruler]["coverage"] <= 1
    rulers = importlib.import_module("studies.rulers")
    assert kept["claims"] == rulers.pack(rulers.unpack(kept), {})["claims"]


CHECKS = {"scores": check_scores, "parity": check_parity, "recipes": check_recipes, "trial": check_trial}
CHECKS |= {
    "labels": check_labels,
    "rulers": check_rulers,
    "failures": lambda kept: None,
}  # chapter 21 looks at its records


MISSING = {"labels": {("long/100", seed) for seed in (18, 19)}}  # as chapter 36 says
LATER = (
    "control",
    "fool",
    "chosen",
    "explore",
)  # arms of the study of labels whose results may not be there yet
MISSING["rulers"] = {
    (cell, seed) for cell in ("flow/1", "flow/2", "post", "dcgan", "digits") for seed in (1, 2)
}
MISSING["rulers"] |= {
    (cell, seed) for cell in ("steady", "tuned") for seed in (3, 4)
}  # chapter 20 tells how many
LONG_KNOWN = {f"post_100/{name}" for name in ("as_is", "sigmoid", "norm_d", "beta_1_0.5")}
LONG_KNOWN |= {"steady_100/as_is", "steady_100/together"}
MISSING["trial"] = {
    (cell, seed)
    for cell in study_of("trial").cells
    if "_100/" in cell
    for seed in range(5 if cell in LONG_KNOWN else 0, 10)
}  # chapter 68 says when they will have verdicts


@pytest.mark.parametrize("name", NAMES)
def test_results_are_as_their_study_makes_them_with_all_seeds_of_the_book(name):
    study = study_of(name)
    kept = json.loads((ROOT / "nbs" / "results" / f"{study.file}.json").read_text())
    check_runs(study, kept)
    CHECKS[name](kept)
    assert all(kept["provenance"][key] == value for key, value in study.how.items())
    wanted = {(cell, seed) for cell, seeds in study.cells.items() for seed in seeds}
    if name == "trial":  # of what was added later, chapter 32 tells how many seeds there are
        wanted = {(cell, seed) for cell, seed in wanted if not CHANGES[cell.partition("/")[2]].family}
    if name == "labels":
        wanted = {(cell, seed) for cell, seed in wanted if cell.partition("/")[0] not in LATER}
    assert wanted - set(study.unpack(kept)) == MISSING.get(name, set())


def test_results_are_found_and_read_without_tensorflow(tmp_path):
    code = "import sys; from learning_gan.trials import studies; print(*studies.load_results('parity')['raised'])\n"
    code += "sys.exit('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "nbs" / "read", capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.split() == [*load_results("parity")["raised"]]


SMALL = {
    "scores": ["--seeds", "2", "--set", "epochs=1", "n=200", "curve_n=100", "every=1"],
    "recipes": ["--only", "tuned", "--seeds", "2", "--set", "epochs=1", "n=200"],
    "trial": ["--only", "steady/as_is", "--seeds", "2", "--set", "epochs=1", "n=200"],
    "failures": ["--only", "undertrained", "--seeds", "2", "--set", "shown=1", "n=200"],
    "labels": ["--only", "gan/20", "--seeds", "2", "--set", "epochs=1", "g_hidden_size=2", "d_hidden_size=8"],
    "parity": ["--seeds", "2", "--set", "epochs=1", "batch_size=1000", "n=200"],
    "rulers": ["--only", "real", "tuned", "steady", "--seeds", "2", "--set", "epochs=1", "n=200"],
}
BESIDE = {"scores": "baseline.keras", "failures": "failures.npz"}  # what a study leaves beside its results


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_small_study_does_not_train_again_what_it_knows(name, tmp_path, whole_mnist):
    studies.mnist.cache_clear()
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


def is_running(pid):
    "A zombie, which only waits to be asked how it ended, is not."
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.kill
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_soon_after_a_study_that_is_interrupted_or_killed(tmp_path, end):
    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    command, workers = [sys.executable, "-c", "import sleepers; sleepers.main()", tmp_path / "study"], []
    study = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path)

    def found() -> bool:
        for path in Path(f"/proc/{study.pid}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                workers.extend({*map(int, path.read_text().split())} - {*workers})
        return len(workers) >= 2

    processes.wait_until(found)
    study.send_signal(end)
    assert study.wait(timeout=120) != 0
    patience = time.monotonic() + (0 if end == signal.SIGINT else 120)  # an interrupted one waits for them
    while any(map(is_running, workers)):
        assert time.monotonic() < patience
        time.sleep(0.05)
    assert len(list((tmp_path / "study").glob("*.json"))) == 0


# The race

RACERS = """
import os

def runs():
    while True:
        yield 1

def raises():
    yield 1
    raise RuntimeError("out of breath")

def dies():
    yield 1
    os._exit(7)
"""


def test_the_second_ruler_reads_digits(digits):
    "And its features have mean 0 and variance 1, as on what it has learnt."
    features, odds = importlib.import_module("studies._second_ruler").SECOND.describe(digits.test.images)
    assert (odds.argmax(axis=1) == digits.test.labels).mean() > 0.97
    assert np.abs(features.mean(axis=0)).max() < 0.3 and 0.8 < features.var(axis=0).mean() < 1.2


def test_a_claim_holds_where_the_interval_of_a_difference_says_so():
    verdict, low, high = importlib.import_module("studies.rulers").verdict, [1.0, 1.2, 1.1], [2.0, 2.3, 2.4]
    assert [verdict(*pair)["says"] for pair in ((low, high), (high, low), (low, low))] == [
        "holds",
        "reversed",
        "open",
    ]
    mean, half = np.mean(low) - 2, stats.t.ppf(0.975, 2) * stats.sem(low)  # the floor is one number
    assert verdict(low, [2.0])["ci95"] == pytest.approx([mean - half, mean + half])
    assert verdict([2.0], low)["ci95"] == pytest.approx([-mean - half, -mean + half])


def test_a_ladder_ends_at_the_recipe_and_its_steps_are_of_pairs_by_seed():
    ladder = importlib.import_module("studies.ladder")
    assert ladder.recipe_of("post", 2_200) == recipe("post", epochs=4)
    assert ladder.recipe_of("average", 2_200) == recipe("steady", epochs=4)
    assert ladder.recipe_of("decay", 2_200) == recipe("dcgan", epochs=2)
    assert ladder.recipe_of("z_100", 2_200) == recipe("dcgan", epochs=2, z_size=100)
    above, below = (
        {"seeds": seeds, "frechet": f, "second": f} for seeds, f in (([0, 2], [1, 2]), ([0, 1, 2], [2, 9, 8]))
    )
    (step,) = ladder.steps({("updates", "post"): below, ("updates", "beta_1"): above})[:1]
    assert (step["below"], step["name"], step["seeds"]) == ("post", "beta_1", 2)
    assert step["mean"] == step["second"]["mean"] == pytest.approx(np.log([1 / 2, 2 / 8]).mean())
    assert step["p"] == pytest.approx(stats.ttest_1samp(np.log([1 / 2, 2 / 8]), 0).pvalue)
    kept = load_results("ladder")
    check_runs(ladder.STUDY, kept)
    again = ladder.steps({(rung["budget"], rung["name"]): rung for rung in kept["rungs"]})
    assert [one["p"] for one in again] == pytest.approx([one["p"] for one in kept["steps"]])


def test_pictures_of_runs_that_are_not_here_stay(tmp_path):
    for name, value in (("a", 1), ("b", 2), ("a", 3)):
        studies.save_arrays(tmp_path / "pictures.npz", **{name: np.array(value)})
    with np.load(tmp_path / "pictures.npz") as npz:
        assert {name: int(npz[name]) for name in npz.files} == {"a": 3, "b": 2}


def test_a_race_outlives_its_contenders(tmp_path, capsys, monkeypatch):
    (tmp_path / "racers.py").write_text(RACERS)
    monkeypatch.syspath_prepend(tmp_path)
    racers = importlib.import_module("racers")
    contenders = {name: bench.enrolled(getattr(racers, name)) for name in ("raises", "dies", "runs")}
    times, memory = bench.run_race("post", contenders, rounds=3)
    assert {name: len(ms) for name, ms in times.items()} == {"runs": 3}
    assert memory["runs"] > 1  # MiB
    said = capsys.readouterr().out
    assert "left out: raises (out of breath)" in said and "left out: dies (A process" in said


def test_times_of_two_machines_are_kept_apart(tmp_path, monkeypatch):
    bench.keep(tmp_path / "speed.json", "post", {"ours": [1.0]})
    monkeypatch.setattr(bench, "provenance", lambda **more: {"machine": {"cpu": "another"}})
    with pytest.raises(SystemExit, match="of another machine \\(post\\)"):
        bench.keep(tmp_path / "speed.json", "dcgan", {"ours": [1.0]})
    assert set(json.loads((tmp_path / "speed.json").read_text())) == {"post"}
