"""Train the post's recipe with twenty seeds, score each, and write nbs/results/baseline.json, which chapter 20 reads.

Trainings and scores go to runs/study and can be interrupted: the same command goes on where it stopped.
"""

import argparse
import os
from pathlib import Path

from learning_gan.data import load_mnist
from learning_gan.recipe import HyperParameters
from learning_gan.ruler import CLASSIFIER_SHA256
from learning_gan.sampling import sample
from learning_gan.scorecard import MEASURES, Reference
from learning_gan.studies import (
    Job,
    interval,
    kept_generator,
    provenance,
    read_result,
    run_jobs,
    save_study,
    train_generator,
    write_result,
)

ROOT = Path(__file__).resolve().parent.parent
SEED = 0  # of the shuffles, the noise and the latents of all scores
CURVE_IMAGES, CURVE_EVERY = 2_000, 10


def floors(n: int) -> dict:
    "What real images and noise score, with as many images as at the end and as on the way."
    data = load_mnist("mnist")
    reference, curve_reference = (Reference(data, size, SEED) for size in (n, CURVE_IMAGES))
    return {"real": reference.real, "noise": reference.noise, "curve_real": curve_reference.real}


def score_seed(trained: str, recipe: dict, n: int) -> dict:
    "A seed's curve over the epochs, and its score at the end."
    data, (made_by, arrays) = load_mnist("mnist"), read_result(trained)

    def measure(epoch, reference):
        images = sample(kept_generator(recipe, arrays, epoch), reference.n, SEED)
        return reference.measure(images)

    last, curve_reference = int(arrays["epochs"][-1]), Reference(data, CURVE_IMAGES, SEED)
    curve = [{"epoch": epoch, **measure(epoch, curve_reference)} for epoch in arrays["epochs"].tolist()]
    generated = measure(last, Reference(data, n, SEED))
    return {"seed": made_by["arguments"]["seed"], "generated": generated, "curve": curve}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(20)), help="two or more")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--n", type=int, default=10_000, help="images of the score at the end")
    parser.add_argument("--workers", type=int, help="processes at a time; one a core where missing")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "study")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results")
    args = parser.parse_args()
    runs, recipe = args.runs.resolve(), {"epochs": args.epochs}
    every = min(CURVE_EVERY, args.epochs)
    trainings = [
        Job(f"seed-{seed}.npz", train_generator, {"recipe": recipe, "seed": seed, "every": every})
        for seed in args.seeds
    ]
    ruler, told = {"classifier_sha256": CLASSIFIER_SHA256}, {"recipe": recipe, "n": args.n}
    scores = [
        Job(f"score-{seed}.json", score_seed, told | {"trained": f"{runs / training.name}"}, ruler)
        for seed, training in zip(args.seeds, trainings, strict=True)
    ]
    run_jobs(trainings, runs, args.workers)
    ends, *seeds = run_jobs([Job("floors.json", floors, {"n": args.n}, ruler), *scores], runs, args.workers)
    about = provenance(
        "make study-scores",
        recipe=vars(HyperParameters(**recipe)),
        data={"name": "mnist", "sha256": load_mnist("mnist").sha256},
        n=args.n,
        **ruler,
        seeds=args.seeds,
        score_seed=SEED,
        curve_n=CURVE_IMAGES,
        threads=1,
    )
    means = {key: interval([run["generated"][key] for run in seeds]) for key in MEASURES}
    save_study(args.out / "baseline.json", about, **ends, means=means, runs=seeds)
    made_by, arrays = read_result(runs / trainings[0].name)
    last = {name: array[-1:] for name, array in arrays.items()}
    write_result(args.out / "baseline.npz", made_by, last)  # the first seed's generator, for the chapters
    print(f"wrote baseline.json and baseline.npz into {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
