"""The post's recipe by `train` and by the graph of 2017, thirty seeds each: nbs/results/parity.json, for chapter 50.

The two share nothing but the data and the recipe: each draws its own weights, order and latents. Chapter 50 says what
is asked, by which statistic, and how the question came up; the seeds that raised it stay in the result file (`raised`).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy import stats

from learning_gan.measure.measures import RULER_IMAGES, describe, frechet_distance, histogram
from learning_gan.parts.inputs import epoch_order
from learning_gan.parts.recipes import HyperParameters, recipe
from learning_gan.run.sampling import load_generator, sample
from learning_gan.run.training import train
from learning_gan.trials.studies import Study, interval, load_results
from studies import ABOUT, by_cell, mnist, reference, without

GRAPH = Path(__file__).resolve().parent.parent / "benchmarks" / "graph2017.py"
ASKED = 9  # the digit whose share is asked for
SPLITS = 100_000  # of a permutation test


def drawn_by_keras(path, hp: HyperParameters, seed: int, n: int) -> np.ndarray:
    "Images of a training run."
    train(hp, mnist(), path.with_suffix(""), seed, verbose=False)
    return sample(load_generator(path.with_suffix("")), n, seed)


def drawn_by_graph(path, hp: HyperParameters, seed: int, n: int) -> np.ndarray:
    "Images of the graph of 2017, which goes through the data as the post's reader did."
    images, count = mnist().train.images.reshape(-1, 784), hp.epochs * hp.updates_per_epoch * hp.batch_size
    rows = epoch_order(2017, seed, len(images), count)  # the whole training as one long epoch
    order = {"images": images, "rows": rows.reshape(1, -1, hp.batch_size), "seed": [seed], "n_fakes": n}
    return follow(order)["fake_images"][0]


def follow(order: dict) -> dict:
    "What graph2017.py makes of an order."
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "order.npz", **order)
        command = [sys.executable, "-W", "ignore", GRAPH, "order.npz", "result.npz"]
        subprocess.run(command, cwd=folder, check=True)
        with np.load(Path(folder) / "result.npz") as arrays:
            return dict(arrays)


def measure(images: np.ndarray) -> dict:
    "Fréchet distance from all test images, and the shares of the digits."
    features, probabilities = describe(images)
    distance = frechet_distance(reference(len(mnist().test)).features, features)
    return {"frechet": distance, "histogram": histogram(probabilities.argmax(axis=1)).tolist()}


def do(path, cell: str, seed: int, n: int, **changes) -> dict:
    "Train by one of the two, and measure what it draws."
    draw = {"keras": drawn_by_keras, "graph": drawn_by_graph}[cell]
    return measure(draw(path, recipe("post", **changes), seed, n))


def largest_t(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
    "The largest absolute Welch t of the measures [..., measures, runs]; 0 where nothing varies."
    t = stats.ttest_ind(one, other, axis=axis, equal_var=False).statistic
    return np.nan_to_num(np.abs(t)).max(axis=-1)


def permutation_p(one: np.ndarray, other: np.ndarray) -> float:
    "How often `largest_t` of a random split of all runs [runs, measures] is at least that of the two implementations."
    how = {"n_resamples": SPLITS, "batch": 1_000, "axis": -1, "alternative": "greater", "rng": 0}
    return float(stats.permutation_test((one.T, other.T), largest_t, vectorized=True, **how).pvalue)


def compare(keras: np.ndarray, graph: np.ndarray) -> dict:
    "Means, their difference, intervals, Welch's t, and its p by permutation; from one value a run."
    found = stats.ttest_ind(keras, graph, equal_var=False)
    between, p = found.confidence_interval(), permutation_p(keras[:, None], graph[:, None])
    difference = {"mean": keras.mean() - graph.mean(), "ci95": [between.low, between.high]}
    both = {"keras": interval(keras), "graph": interval(graph), "difference": difference}
    return both | {"t": float(np.nan_to_num(found.statistic)), "p": p}


def the_question(raised: dict) -> dict:
    "What the seeds that raised the question say, with the largest of the ten Welch t values as the statistic."
    shares = [np.array([run["histogram"] for run in raised["runs"][key]]) for key in ("keras", "graph")]
    t = stats.ttest_ind(*shares, equal_var=False).statistic
    return raised | {"t": t.tolist(), "p": permutation_p(*shares)}


def pack(runs: dict, how: dict) -> dict:
    "Real images, both implementations, and how they compare."
    both = {cell: [{"seed": s} | run for s, run in each.items()] for cell, each in by_cell(runs).items()}
    shares = [np.array([run["histogram"][ASKED] for run in each]) for each in both.values()]
    distances = [np.array([run["frechet"] for run in each]) for each in both.values()]
    real = measure(mnist().train.images[RULER_IMAGES:][: how["n"]])
    compared = {"share": compare(*shares), "frechet": compare(*distances)}
    raised = the_question(load_results("parity")["raised"])
    return {"raised": raised, "real": real, "runs": both, "compared": compared}


def unpack(kept: dict) -> dict:
    "The runs again."
    return {(key, run["seed"]): without(run, "seed") for key, runs in kept["runs"].items() for run in runs}


CELLS = {"keras": range(100, 130), "graph": range(100, 130)}
STUDY = Study("parity", "parity", do, CELLS, {"epochs": 20, "n": 10_000}, pack, unpack, ABOUT)
