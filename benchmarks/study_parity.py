"""Train the post's recipe with `train` and with the graph of 2017, several seeds each, and compare what they draw.

`make study-parity`, about 40 minutes on two cores. The two share nothing but the data and the recipe: each draws its
own weights, order and latents. Writes nbs/results/parity.json, which chapter 21 shows. The runs go to runs/parity and can
be interrupted: the same command goes on where it stopped.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from provenance import provenance
from scipy import stats

from learning_gan.data import load_mnist
from learning_gan.files import atomic_path
from learning_gan.inputs import epoch_order
from learning_gan.network import HyperParameters
from learning_gan.sampling import load_generator, sample
from learning_gan.scorecard import CLASSIFIER_SHA256, describe, frechet_distance, histogram
from learning_gan.training import train

ROOT = Path(__file__).parent.parent
GRAPH = ROOT / "tests" / "parity" / "graph2017.py"
SPLITS = 100_000  # of the permutation test


def draw_with_keras(hp: HyperParameters, data, seed: int, n: int, folder: Path) -> np.ndarray:
    "n fake images of a generator trained by `train`."
    run = folder / f"keras-{seed}"
    train(hp, data, run, seed, verbose=False)
    return sample(load_generator(run), n, seed)


def draw_with_the_graph(hp: HyperParameters, data, seed: int, n: int, folder: Path) -> np.ndarray:
    "n fake images of a generator trained by the graph of 2017, which goes through the data as the post's reader did."
    images = data.train.images
    count = hp.epochs * hp.updates_per_epoch * hp.batch_size
    rows = epoch_order(2017, seed, len(images), count)  # the whole training as one long epoch
    result, order = folder / f"graph-{seed}.npz", folder / "order.npz"
    if not result.exists():
        follow_order(order, result, rows, seed, n, hp, images)
    with np.load(result) as arrays:
        return arrays["fake_images"][0]


def follow_order(order: Path, result: Path, rows, seed: int, n: int, hp: HyperParameters, images) -> None:
    "Write an order for graph2017.py and let it write the result."
    settings = {
        key: getattr(hp, key) for key in ("z_size", "g_hidden_size", "d_hidden_size", "alpha", "smooth")
    }
    np.savez(
        order,
        images=images,
        rows=rows.reshape(1, -1, hp.batch_size),
        seed=[seed],
        n_fakes=n,
        learning_rate=hp.learning_rate,
        **settings,
    )
    with atomic_path(result) as temporary:
        command = [sys.executable, "-W", "ignore", GRAPH, order, temporary]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"the graph of 2017 failed:\n{done.stderr}")
    order.unlink()


IMPLEMENTATIONS = {"keras": draw_with_keras, "graph": draw_with_the_graph}


def interval(values) -> dict[str, list]:
    "Mean and 95 % interval of Student's t along the first axis."
    values = np.asarray(values)
    k = len(values)
    mean, half = values.mean(axis=0), stats.t.ppf(0.975, k - 1) * stats.sem(values, axis=0)
    return {"mean": mean.tolist(), "ci95": np.stack([mean - half, mean + half], axis=-1).tolist()}


def permutation_p(one, other) -> float:
    "How often a random split of all runs lies at least as far apart as the two implementations."
    k, pooled = len(one), np.concatenate([one, other])
    pooled = pooled.reshape(len(pooled), -1)
    order = np.random.default_rng(0).random((SPLITS, len(pooled))).argsort(axis=1)
    side = np.where(np.concatenate([np.arange(len(pooled))[None], order]) < k, 1 / k, -1 / (len(pooled) - k))
    distances = np.abs(side @ pooled).sum(axis=1)  # that of the true split first
    return float(np.mean(distances >= distances[0] - 1e-12))


def compare(runs: dict[str, list[dict]]) -> dict:
    "Intervals of both implementations, and how surprising their difference is."
    measures = {}
    for measure in ("frechet", "histogram"):
        values = {name: np.array([run[measure] for run in runs[name]]) for name in runs}
        found = {name: interval(v) for name, v in values.items()}
        low, high = np.moveaxis([found[name]["ci95"] for name in found], -1, 0)
        overlap = (low.max(axis=0) <= high.min(axis=0)).tolist()
        measures[measure] = found | {"overlap": overlap, "permutation_p": permutation_p(*values.values())}
    return measures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="of each implementation, at least 2")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--n", type=int, default=10_000, help="fake images of each run, and test images")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "parity")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results" / "parity.json")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds must be at least 2, since an interval needs a spread")

    hp, data = HyperParameters(epochs=args.epochs, batch_size=args.batch_size), load_mnist(args.data)
    shuffled = np.random.default_rng(0).permutation(len(data.train))[
        : args.n
    ]  # the test images go in all together
    real_features, _ = describe(data.test.images)
    train_features, train_digits = describe(data.train.images[shuffled])

    def measure(images):
        features, probabilities = describe(images)
        shares = histogram(probabilities.argmax(axis=1))
        return {"frechet": frechet_distance(real_features, features), "histogram": shares.tolist()}

    runs = {name: [] for name in IMPLEMENTATIONS}
    args.runs.mkdir(parents=True, exist_ok=True)
    for seed, (name, draw) in itertools.product(range(args.seeds), IMPLEMENTATIONS.items()):
        run = {"seed": seed} | measure(draw(hp, data, seed, args.n, args.runs))
        runs[name].append(run)
        print(f"seed {seed}  {name:6} Fréchet distance {run['frechet']:6.1f}", flush=True)
    about = provenance(
        " ".join(["python", "benchmarks/study_parity.py", *sys.argv[1:]])
        if sys.argv[1:]
        else "make study-parity",
        recipe=vars(hp),
        data={"name": data.name, "sha256": data.sha256},
        classifier_sha256=CLASSIFIER_SHA256,
        n=args.n,
    )
    real = {
        "frechet": frechet_distance(real_features, train_features),
        "histogram": histogram(train_digits.argmax(axis=1)).tolist(),
    }
    results = about | {"real": real, "runs": runs, "compared": compare(runs)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(args.out) as temporary:
        temporary.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
