"""Train the post's recipe with `train` and with the graph of 2017, thirty seeds each, and compare what they draw.

`make study-parity`, about an hour on two cores. The two share nothing but the data and the recipe: each draws its own
weights, order and latents. Chapter 21 says what is asked, by which statistic, and how the question came up; the
results of the seeds that raised it stay in nbs/results/parity.json as they were. The trainings go to runs/parity and
can be interrupted: the same command goes on where it stopped.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy import stats

from learning_gan.data import load_mnist
from learning_gan.inputs import epoch_order
from learning_gan.measures import frechet_distance, histogram
from learning_gan.recipe import HyperParameters
from learning_gan.ruler import CLASSIFIER_SHA256, RULER_IMAGES, describe
from learning_gan.sampling import sample
from learning_gan.studies import (
    Job,
    find_results,
    interval,
    kept_generator,
    provenance,
    read_result,
    run_jobs,
    save_study,
    train_generator,
)

ROOT = Path(__file__).resolve().parent.parent
GRAPH = ROOT / "tests" / "parity" / "graph2017.py"
ASKED = 9  # the digit whose share is asked for
SPLITS = 100_000  # of a permutation test


def train_graph(recipe: dict, seed: int, n: int) -> dict:
    "n fake images of the graph of 2017, which goes through the data as the post's reader did."
    hp, images = HyperParameters(**recipe), load_mnist("mnist").train.images.reshape(-1, 784)
    count = hp.epochs * hp.updates_per_epoch * hp.batch_size
    rows = epoch_order(2017, seed, len(images), count)  # the whole training as one long epoch
    order = {"images": images, "rows": rows.reshape(1, -1, hp.batch_size), "seed": [seed], "n_fakes": n}
    return {"fake_images": follow(order)["fake_images"][0]}


def follow(order: dict) -> dict:
    "What graph2017.py makes of an order."
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "order.npz", **order)
        command = [sys.executable, "-W", "ignore", GRAPH, "order.npz", "result.npz"]
        subprocess.run(command, cwd=folder, check=True)
        with np.load(Path(folder) / "result.npz") as arrays:
            return dict(arrays)


def draw(trained: Path, n: int) -> np.ndarray:
    "n fake images of a training of either implementation."
    made_by, arrays = read_result(trained)
    if "fake_images" in arrays:
        return arrays["fake_images"]
    how = made_by["arguments"]
    return sample(kept_generator(how["recipe"], arrays, how["recipe"]["epochs"]), n, how["seed"])


def measure_runs(runs: str, names: dict, n: int) -> dict:
    "Fréchet distance and digit shares of real images and of each training."
    data = load_mnist("mnist")
    features, _ = describe(data.test.images)

    def measure(images):
        fake_features, probabilities = describe(images)
        shares = histogram(probabilities.argmax(axis=1))
        return {"frechet": frechet_distance(features, fake_features), "histogram": shares.tolist()}

    found = {
        key: [{"seed": seed} | measure(draw(Path(runs) / name, n)) for seed, name in each]
        for key, each in names.items()
    }
    return {"real": measure(data.train.images[RULER_IMAGES:][:n]), "runs": found}


def welch(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    "Absolute Welch t of each measure, 0 where nothing varies: from [..., runs, measures] to [..., measures]."
    error = one.var(-2, ddof=1) / one.shape[-2] + other.var(-2, ddof=1) / other.shape[-2]
    difference = np.abs(one.mean(-2) - other.mean(-2))
    return np.divide(difference, np.sqrt(error), out=np.zeros_like(difference), where=error > 0)


def permutation_p(one: np.ndarray, other: np.ndarray) -> float:
    "How often the largest Welch t of a random split of all runs is at least that of the two implementations."
    pooled, rng = np.concatenate([one, other]), np.random.default_rng(0)
    largest, found = welch(one, other).max(), 0
    for _ in range(0, SPLITS, 1_000):
        split = pooled[rng.random((1_000, len(pooled))).argsort(axis=1)]
        found += (welch(split[:, : len(one)], split[:, len(one) :]).max(-1) >= largest - 1e-12).sum()
    return float((found + 1) / (SPLITS + 1))


def compare_values(keras: np.ndarray, graph: np.ndarray) -> dict:
    "Means, their difference, intervals, Welch's t, and its p by permutation; from one value a run."
    found = stats.ttest_ind(keras, graph, equal_var=False)
    between = found.confidence_interval()
    return {
        "keras": interval(keras),
        "graph": interval(graph),
        "difference": {"mean": keras.mean() - graph.mean(), "ci95": [between.low, between.high]},
        "t": float(np.nan_to_num(found.statistic)),
        "p": permutation_p(keras[:, None], graph[:, None]),
    }


def compare(runs: dict) -> dict:
    "The share that is asked for, and the Fréchet distance."
    shares = [np.array([run["histogram"][ASKED] for run in runs[key]]) for key in ("keras", "graph")]
    distances = [np.array([run["frechet"] for run in runs[key]]) for key in ("keras", "graph")]
    return {"share": compare_values(*shares), "frechet": compare_values(*distances)}


def the_question(raised: dict) -> dict:
    "What the seeds that raised the question say, with the largest of the ten Welch t values as the statistic."
    shares = [np.array([run["histogram"] for run in raised["runs"][key]]) for key in ("keras", "graph")]
    t = stats.ttest_ind(*shares, equal_var=False).statistic
    return raised | {"t": t.tolist(), "p": permutation_p(*shares)}


def trainings(seeds, recipe: dict, n: int) -> dict[str, list]:
    "The jobs of both implementations."
    return {
        "keras": [
            Job(
                f"ours-{seed}.npz",
                train_generator,
                {"recipe": recipe, "seed": seed, "every": recipe["epochs"]},
            )
            for seed in seeds
        ],
        "graph": [
            Job(f"graph-{seed}.npz", train_graph, {"recipe": recipe, "seed": seed, "n": n}) for seed in seeds
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=list(range(100, 130)),
        help="of each implementation, two or more",
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, help="the recipe's where missing")
    parser.add_argument("--n", type=int, default=10_000, help="fake images of each run")
    parser.add_argument("--workers", type=int, help="processes at a time; one a core where missing")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "parity")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results" / "parity.json")
    args = parser.parse_args()
    runs, recipe = args.runs.resolve(), {"epochs": args.epochs}
    recipe |= {"batch_size": args.batch_size} if args.batch_size else {}
    jobs = trainings(args.seeds, recipe, args.n)
    run_jobs([job for pair in zip(*jobs.values(), strict=True) for job in pair], runs, args.workers)
    ruler = {"classifier_sha256": CLASSIFIER_SHA256}
    names = {key: [[seed, job.name] for seed, job in zip(args.seeds, jobs[key], strict=True)] for key in jobs}
    told = {"runs": str(runs), "names": names, "n": args.n}
    measuring = Job("measures.json", measure_runs, told, ruler)
    (measured,) = run_jobs([measuring], runs)
    about = provenance(
        "make study-parity",
        recipe=vars(HyperParameters(**recipe)),
        data={"name": "mnist", "sha256": load_mnist("mnist").sha256},
        n=args.n,
        **ruler,
        seeds=args.seeds,
        threads=1,
    )
    raised = json.loads(find_results("parity.json").read_text(encoding="utf-8"))["raised"]
    compared = compare(measured["runs"])
    save_study(args.out, about, raised=the_question(raised), **measured, compared=compared)
    print(f"share of {ASKED}: t = {compared['share']['t']:.2f}, p = {compared['share']['p']:.3f}")
    print(f"wrote {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
