"""The results that chapters read: what they say of their making, and that their scripts still make such a file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from learning_gan.data import load_mnist
from learning_gan.network import HyperParameters
from learning_gan.scorecard import CLASSIFIER_SHA256

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "nbs" / "results"
SCORE = {
    "frechet", "kid", "kid_ci95", "precision", "recall", "density", "coverage",
    "classifier_score", "histogram", "histogram_kl", "digits_covered", "memorisation",
}  # fmt: skip


def check_provenance(study, command, epochs):
    "Command, date, versions, data and classifier of a study of the post's recipe."
    assert study["command"] == command
    assert len(study["date"].split("-")) == 3
    assert {"python", "numpy", "tensorflow", "keras", "learning_gan"} <= set(study["versions"])
    assert study["recipe"] == vars(HyperParameters(epochs=epochs))
    assert study["data"]["name"] == "mnist" and len(study["data"]["sha256"]) == 64
    assert study["classifier_sha256"] == CLASSIFIER_SHA256


def check_baseline(study, seeds, epochs, every):
    "Scores and curves of each seed, all within their ranges."
    assert [run["seed"] for run in study["runs"]] == seeds
    for score in [study["real"], study["noise"], *[run["generated"] for run in study["runs"]]]:
        assert set(score) == SCORE
        assert np.isclose(sum(score["histogram"]), 1) and 0 <= score["digits_covered"] <= 10
        assert all(0 <= score[key] <= 1 for key in ("precision", "recall", "coverage", "memorisation"))
    for run in study["runs"]:
        assert [one["epoch"] for one in run["curve"]] == list(range(every, epochs + 1, every))


def check_parity(study, seeds):
    "Fréchet distance and digit shares of each seed of both implementations, and their comparison."
    assert set(study["runs"]) == {"keras", "graph"}
    for runs in study["runs"].values():
        assert [run["seed"] for run in runs] == seeds
        assert all(run["frechet"] > 0 and np.isclose(sum(run["histogram"]), 1) for run in runs)
    assert 0 < study["compared"]["frechet"]["permutation_p"] <= 1
    assert len(study["compared"]["histogram"]["overlap"]) == 10


def run(script, *arguments):
    "Run a study's script in this environment."
    command = [sys.executable, ROOT / script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_baseline():
    study = json.loads((RESULTS / "baseline.json").read_text())
    check_provenance(study, "make study-scores", epochs=100)
    check_baseline(study, [0, 1, 2, 3, 4], epochs=100, every=10)


def test_parity():
    study = json.loads((RESULTS / "parity.json").read_text())
    check_provenance(study, "make study-parity", epochs=20)
    check_parity(study, list(range(20)))


@pytest.mark.slow
def test_a_small_baseline(tmp_path):
    if load_mnist().name != "mnist":
        pytest.skip("the baseline is a study of the whole MNIST, which is not here")
    run(
        "tools/study_scores.py",
        "--seeds",
        3,
        "--epochs",
        1,
        "--n",
        200,
        "--runs",
        tmp_path,
        "--out",
        tmp_path,
    )
    check_baseline(json.loads((tmp_path / "baseline.json").read_text()), [3], epochs=1, every=10)


@pytest.mark.slow
@pytest.mark.parity
def test_a_small_comparison(tmp_path):
    small = ["--seeds", 2, "--epochs", 1, "--batch-size", 1000, "--n", 200, "--data", "embedded"]
    run("benchmarks/study_parity.py", *small, "--runs", tmp_path, "--out", tmp_path / "parity.json")
    check_parity(json.loads((tmp_path / "parity.json").read_text()), [0, 1])
