"""Train every recipe with several seeds, score each, and write nbs/results/recipes.json, which chapter 30 reads.

Scores go to runs/recipes and can be interrupted: the same command goes on where it stopped. What the result file holds
already is not trained again, so the whole can be done in parts, on one machine after another. Nor is the post's own
recipe: its twenty seeds are in nbs/results/baseline.json.
"""

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from learning_gan.data import load_mnist
from learning_gan.labels import classes_of, labels_in_turn
from learning_gan.measures import agreement
from learning_gan.recipe import HyperParameters, recipe
from learning_gan.ruler import CLASSIFIER_SHA256
from learning_gan.sampling import sample
from learning_gan.scorecard import MEASURES, Reference
from learning_gan.studies import (
    Job,
    earlier_study,
    interval,
    is_done,
    kept_generator,
    provenance,
    run_jobs,
    save_study,
    train_generator,
)

ROOT = Path(__file__).resolve().parent.parent
SEED = 0  # of the shuffles, the noise and the latents of all scores
SEEDS = {"steady": 20, "tuned": 20, "dcgan": 5, "digits": 5}
KINDS = {"generated": False, "averaged": True}  # the last weights, or their average


def score_seed(hp: dict, seed: int, n: int) -> dict:
    "Train a recipe, and score it at the end with the weights as they are and with their average."
    arrays = train_generator(hp, seed, every=hp["epochs"])
    reference = Reference(load_mnist("mnist"), n, SEED)
    score = {"seed": seed, "seconds": float(arrays["seconds"][0])}
    for kind, average in KINDS.items():
        generator = kept_generator(hp, arrays, hp["epochs"], average)
        images = sample(generator, reference.n, SEED)
        score[kind] = reference.measure(images)
        if classes := classes_of(generator):
            score[kind]["agreement"] = agreement(images, labels_in_turn(reference.n, classes)).tolist()
    return score


def jobs_of(
    results: dict, names: list[str], seeds: list[int] | None, epochs: int | None, n: int, ruler: dict
) -> list[tuple[str, Job]]:
    "What is still to be trained, by recipe. One that has changed since starts anew in `results`."
    jobs = []
    for name in names:
        hp = recipe(name, **({"epochs": epochs} if epochs else {}))
        if name not in results or HyperParameters(**results[name]["recipe"]) != hp:
            results[name] = {"recipe": asdict(hp), "runs": []}
        missing = set(seeds or range(SEEDS[name])) - {run["seed"] for run in results[name]["runs"]}
        for seed in sorted(missing):
            told = {"hp": asdict(hp), "seed": seed, "n": n}
            jobs.append((name, Job(f"{name}-{seed}.json", score_seed, told, ruler)))
    return jobs


def summary(hp: dict, runs: list[dict]) -> dict:
    "A recipe, its score for each seed, and the means."
    runs = sorted(runs, key=lambda run: run["seed"])
    means = {kind: {key: interval([run[kind][key] for run in runs]) for key in MEASURES} for kind in KINDS}
    return {"recipe": hp, "seeds": [run["seed"] for run in runs], "means": means, "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipes", nargs="+", default=list(SEEDS), choices=list(SEEDS), help="which ones")
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="two or more; 20 for steady and tuned, 5 for the others"
    )
    parser.add_argument("--epochs", type=int, help="the recipe's own where missing")
    parser.add_argument("--so-far", action="store_true", help="train nothing: write what is done")
    parser.add_argument("--n", type=int, default=10_000, help="images of a score")
    parser.add_argument("--workers", type=int, help="processes at a time; one a core where missing")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "recipes")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results")
    args = parser.parse_args()

    data, out = load_mnist("mnist"), args.out / "recipes.json"
    ruler = {"classifier_sha256": CLASSIFIER_SHA256}
    how = ruler | {
        "n": args.n,
        "score_seed": SEED,
        "data": {"name": "mnist", "sha256": data.sha256},
        "threads": 1,
    }
    earlier = earlier_study(out, **how)
    results = dict(earlier.get("recipes", {}))
    jobs = jobs_of(results, args.recipes, args.seeds, args.epochs, args.n, ruler)
    if args.so_far:
        jobs = [(name, job) for name, job in jobs if is_done(job, args.runs)]
    found = run_jobs([job for _, job in jobs], args.runs, args.workers)
    for (name, _), run in zip(jobs, found, strict=True):
        results[name]["runs"].append(run)
    results = {
        name: summary(one["recipe"], one["runs"])
        for name, one in sorted(results.items(), key=lambda item: list(SEEDS).index(item[0]))
        if len(one["runs"]) > 1
    }
    real = Reference(data, args.n, SEED).real
    save_study(out, provenance("make study-recipes", earlier, **how), real=real, recipes=results)
    print(f"wrote recipes.json into {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
