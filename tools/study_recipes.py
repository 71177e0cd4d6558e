"""Train every recipe with several seeds, score each, and write nbs/results/recipes.json, which chapter 30 reads.

Trainings and scores go to runs/recipes and can be interrupted: the same command goes on where it stopped. The post's
own recipe is not trained again: its twenty seeds are in nbs/results/baseline.json.
"""

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from learning_gan.data import load_mnist
from learning_gan.labels import classes_of, labels_in_turn
from learning_gan.measures import agreement
from learning_gan.recipe import recipe
from learning_gan.ruler import CLASSIFIER_SHA256
from learning_gan.sampling import sample
from learning_gan.scorecard import MEASURES, Reference
from learning_gan.studies import (
    Job,
    interval,
    is_done,
    kept_generator,
    provenance,
    read_result,
    run_jobs,
    save_study,
    train_generator,
)

ROOT = Path(__file__).resolve().parent.parent
SEED = 0  # of the shuffles, the noise and the latents of all scores
SEEDS = {"tuned": 20, "dcgan": 5, "digits": 5}
KINDS = {"generated": False, "averaged": True}  # the last weights, or their average


def score_seed(trained: str, hp: dict, n: int, classifier_sha256: str) -> dict:
    "The score at the end of a training, with the weights as they are and with their average."
    made_by, arrays = read_result(trained)
    reference, last = Reference(load_mnist("mnist"), n, SEED), int(arrays["epochs"][-1])
    score = {"seed": made_by["arguments"]["seed"], "seconds": float(arrays["seconds"][0])}
    for kind, average in KINDS.items():
        generator = kept_generator(hp, arrays, last, average)
        images = sample(generator, reference.n, SEED)
        score[kind] = reference.measure(images)
        if classes := classes_of(generator):
            score[kind]["agreement"] = agreement(images, labels_in_turn(reference.n, classes)).tolist()
    return score


def study(name: str, seeds: list[int], args: argparse.Namespace) -> dict | None:
    "One recipe: its score for each seed, and the means; None where fewer than two seeds are done."
    hp = asdict(recipe(name, **({"epochs": args.epochs} if args.epochs else {})))
    runs = args.runs.resolve()
    trainings = {
        seed: Job(f"{name}-{seed}.npz", train_generator, {"recipe": hp, "seed": seed, "every": hp["epochs"]})
        for seed in seeds
    }
    if args.so_far:
        trainings = {seed: job for seed, job in trainings.items() if is_done(job, runs)}
    if len(trainings) < 2:
        return None
    how = {"hp": hp, "n": args.n, "classifier_sha256": CLASSIFIER_SHA256}
    scores = [
        Job(f"{name}-{seed}.json", score_seed, {"trained": f"{runs / training.name}", **how})
        for seed, training in trainings.items()
    ]
    run_jobs([*trainings.values()], runs, args.workers)
    done = run_jobs(scores, runs, args.workers)
    means = {kind: {key: interval([run[kind][key] for run in done]) for key in MEASURES} for kind in KINDS}
    return {"recipe": hp, "seeds": [*trainings], "means": means, "runs": done}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipes", nargs="+", default=list(SEEDS), choices=list(SEEDS), help="which ones")
    parser.add_argument("--seeds", type=int, nargs="+", help="two or more; 20 for tuned, 5 for the others")
    parser.add_argument("--epochs", type=int, help="the recipe's own where missing")
    parser.add_argument("--so-far", action="store_true", help="train nothing: write what is done")
    parser.add_argument("--n", type=int, default=10_000, help="images of a score")
    parser.add_argument("--workers", type=int, help="processes at a time; one a core where missing")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "recipes")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results")
    args = parser.parse_args()
    results = {name: study(name, args.seeds or list(range(SEEDS[name])), args) for name in args.recipes}
    results = {name: result for name, result in results.items() if result}
    about = provenance(
        "make study-recipes",
        data={"name": "mnist", "sha256": load_mnist("mnist").sha256},
        n=args.n,
        classifier_sha256=CLASSIFIER_SHA256,
        score_seed=SEED,
        threads=1,
    )
    real = Reference(load_mnist("mnist"), args.n, SEED).real
    save_study(args.out / "recipes.json", about, real=real, recipes=results)
    print(f"wrote recipes.json into {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
