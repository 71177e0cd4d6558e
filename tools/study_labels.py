"""Train the classifier of chapter 34 with a few labels and several seeds, with and without the generator, and write
nbs/results/hundred_labels.json and hundred_labels.npz, which the chapter reads.

Runs go to runs/labels and can be interrupted: the same command goes on where it stopped, inside a training too. What
the result file holds already is not trained again, so the whole can be done in parts, on one machine after another.
The recipe was chosen on the validation images with other seeds (100 and up), but for the epsilon of the generator's
Adam, which was changed after seed 6 of the arm `first` had diverged; so the arm `gan` has seeds from 10 on. The test
images are looked at after each epoch, for the curve: those of seeds below 10 were seen when that epsilon was chosen,
and those of `gan` when `long`, which trains its seeds for more epochs, was added. What counts is the end.
"""

import argparse
import csv
import os
import time
from functools import partial
from pathlib import Path

import numpy as np

from learning_gan.backend import keras
from learning_gan.data import load_mnist, to_pixels
from learning_gan.files import atomic_path
from learning_gan.recipe import HyperParameters
from learning_gan.runs import read_samples
from learning_gan.sampling import load_generator, sample
from learning_gan.semi import (
    AVERAGE,
    EPSILONS,
    RECIPE,
    build_semi,
    hide_labels,
    load_classifier,
    predicted,
    train_alone,
    train_semi,
)
from learning_gan.studies import Job, earlier_study, interval, is_done, provenance, run_jobs, save_study

ROOT = Path(__file__).resolve().parent.parent
SEEDS = {100: 10, 50: 5, 20: 5}  # how many, by labels; each is a choice of labels of its own
# How many seeds an arm has, by labels; `first` was given up after its seed 6.
ARMS = {"gan": SEEDS, "noise": SEEDS, "plain": SEEDS, "long": {100: 10}, "first": {100: 7}}
FIRST_SEED = {"gan": 10, "long": 10}  # of an arm; 0 where missing
EPOCHS = {"long": 300}  # of an arm; the recipe's where missing
FIXED = {"average": AVERAGE, "epsilons": list(EPSILONS)}  # what a recipe cannot say
SHOWN = 32  # images of the generator that the chapter shows
LOST = "first-100-6", (24, 25, 26, 27, 30)  # a run that diverged, and the epochs that show how


class Curve(keras.callbacks.Callback):
    "Writes down after each epoch how many test images are wrong, and the seconds that it took."

    def __init__(self, path, test):
        super().__init__()
        self.path, self.test = path, test

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        wrong = predicted(self.model.classifier(), self.test.images) != self.test.labels
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([epoch + 1, wrong.sum(), time.monotonic() - self.start])


def curve_of(path: Path) -> dict:
    "Errors by epoch, and the seconds of all; where an epoch was done twice, the later one counts."
    with path.open(newline="") as file:
        by_epoch = {int(epoch): values for epoch, *values in csv.reader(file)}
    errors, seconds = zip(*(by_epoch[epoch] for epoch in sorted(by_epoch)), strict=True)
    return {"curve": [*map(int, errors)], "seconds": sum(map(float, seconds))}


def with_generator(arm: str, run: str, labels: int, seed: int, recipe: dict) -> dict:
    "One training of the arms `gan` and `long`, or by the recipe tried first, in a run folder, which it goes on with."
    data, curve = load_mnist("mnist"), Path(f"{run}.csv")
    hp, told = HyperParameters(**recipe), [Curve(curve, data.test)]
    build = partial(build_semi, epsilons=(1e-4, 1e-4)) if arm == "first" else None
    result = train_semi(data, labels, run, seed, hp, build, callbacks=told, verbose=False)
    return result | {"arm": arm} | curve_of(curve)


def without_generator(arm: str, labels: int, seed: int) -> dict:
    "One training of the other arms."
    data = load_mnist("mnist")
    _, labelled = hide_labels(data, labels, seed)
    wrong = predicted(train_alone(labelled, seed=seed, noise=arm == "noise"), data.test.images)
    errors = int((wrong != data.test.labels).sum())
    return {"labels": labels, "seed": seed, "errors": errors, "n_test": len(wrong), "arm": arm}


def recipe_of(arm: str, epochs: int | None) -> dict:
    "What an arm trains by, with its own epochs or others."
    return RECIPE | {"epochs": epochs or EPOCHS.get(arm, RECIPE["epochs"])}


def jobs_of(
    labels: list[int], arms: list[str], seeds: int | None, epochs: int | None, runs: Path
) -> list[Job]:
    "Every training, the hundred labels first."
    jobs = []
    for n in labels:
        for arm in [arm for arm in arms if n in ARMS[arm]]:
            first = FIRST_SEED.get(arm, 0)
            for seed in range(first, first + (seeds or ARMS[arm][n])):
                name, how = f"{arm}-{n}-{seed}", {"arm": arm, "labels": n, "seed": seed}
                if arm in ("noise", "plain"):
                    jobs.append(Job(f"{name}.json", without_generator, how))
                else:
                    run = {"run": os.fspath(runs / name), "recipe": recipe_of(arm, epochs)}
                    jobs.append(Job(f"{name}.json", with_generator, how | run))
    return jobs


def key_of(run: dict) -> tuple:
    "Arm, labels and seed of a result, or of what a job is told."
    return run["arm"], run["labels"], run["seed"]


def save_pictures(run: Path, lost: Path, epochs: tuple, out: Path) -> None:
    "What the generator of a run draws, the test digits that its classifier takes for others, and samples of a lost run."
    test = load_mnist("mnist").test
    taken_for = predicted(load_classifier(run), test.images)
    wrong = np.flatnonzero(taken_for != test.labels)
    pictures = {"drawn": sample(load_generator(run), SHOWN), "lost": read_samples(lost)[np.array(epochs) - 1]}
    pictures = {name: to_pixels(images) for name, images in pictures.items()}
    with atomic_path(out / "hundred_labels.npz") as temporary:
        np.savez_compressed(temporary, **pictures, epochs=epochs, wrong=wrong, taken_for=taken_for[wrong])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=int, nargs="+", default=list(SEEDS), choices=SEEDS, help="how many")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, help="which ones")
    parser.add_argument("--seeds", type=int, help="how many; those of the chapter where missing")
    parser.add_argument("--epochs", type=int, help="fewer, to try it out")
    parser.add_argument("--so-far", action="store_true", help="train nothing: write what is done")
    parser.add_argument("--workers", type=int, help="processes at a time; one a core where missing")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "labels")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results")
    args = parser.parse_args()

    recipe = recipe_of("gan", args.epochs)
    runs = args.runs.resolve()
    earlier = earlier_study(args.out / "hundred_labels.json", recipe=recipe | FIXED)
    trained = {key_of(run): run for run in earlier.get("runs", [])}
    jobs = jobs_of(args.labels, args.arms, args.seeds, args.epochs, runs)
    jobs = [job for job in jobs if key_of(job.arguments) not in trained]
    if args.so_far:
        jobs = [job for job in jobs if is_done(job, runs)]
    if not jobs:
        return print("nothing new was trained")
    trained |= {key_of(run): run for run in run_jobs(jobs, runs, args.workers)}
    found, errors = [trained[key] for key in sorted(trained)], {}
    for run in found:
        errors.setdefault(f"{run['arm']}-{run['labels']}", []).append(run["errors"])
    means = {name: interval(values) for name, values in errors.items() if len(values) > 1}
    about = provenance(
        "make study-labels",
        earlier,
        recipe=recipe | FIXED,
        data={"name": "mnist", "sha256": load_mnist("mnist").sha256},
        threads=1,
    )
    save_study(args.out / "hundred_labels.json", about, means=means, runs=found)
    shown, lost = runs / "gan-100-10", runs / LOST[0]
    if all((run / "result.json").exists() for run in (shown, lost)):
        save_pictures(shown, lost, LOST[1], args.out)
    print(f"wrote hundred_labels.json into {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
