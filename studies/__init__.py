"""The studies of the book, a file each: `make study NAME=trial` does one, or goes on with it.

nbs/machine/68_studies.ipynb tells how. What a study counts was settled, and committed, before its first run.
"""

import csv
import time
from functools import cache

import numpy as np

from learning_gan.core.backend import keras
from learning_gan.core.files import atomic_path
from learning_gan.measure.measures import CLASSIFIER_SHA256
from learning_gan.measure.scoring import Reference
from learning_gan.parts.data import Dataset, load_mnist
from learning_gan.run.training import train

MNIST = "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"
ABOUT = {"data": {"name": "mnist", "sha256": MNIST}, "classifier_sha256": CLASSIFIER_SHA256}
SEED = 0  # of the shuffles, the noise and the latents of all scores


@cache
def mnist() -> Dataset:
    "The whole MNIST, which all studies are of."
    data = load_mnist("mnist")
    assert data.sha256 == MNIST
    return data


@cache
def reference(n: int) -> Reference:
    "What n images are scored against."
    return Reference(mnist(), n, SEED)


def by_cell(runs: dict) -> dict:
    "Runs by cell and seed."
    cells = {}
    for (cell, seed), run in runs.items():
        cells.setdefault(cell, {})[seed] = run
    return cells


def without(run: dict, *keys: str) -> dict:
    "A run without some of its entries."
    return {key: value for key, value in run.items() if key not in keys}


def by_arm(kept: dict) -> dict:
    "The runs of a result file whose runs say their arm and seed."
    return {(run["arm"], run["seed"]): run for run in kept["runs"]}


def save_arrays(path, **arrays) -> None:
    "Write arrays beside a result file, whole or not at all; what it holds of runs that are not here stays."
    if path.exists():
        with np.load(path) as kept:
            arrays = dict(kept) | arrays
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)


class Epochs(keras.callbacks.Callback):
    "Writes down what the updates of each epoch took, and what `look` sees then, where a run that goes on will add to it."

    def __init__(self, path, clock=time.monotonic, look=lambda model, epoch: ()):
        super().__init__()
        self.path, self.clock, self.look = path, clock, look

    def on_epoch_begin(self, epoch, logs=None):
        self.start = self.clock()

    def on_epoch_end(self, epoch, logs=None):
        took = self.clock() - self.start
        row = [epoch + 1, took, *self.look(self.model, epoch + 1)]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(row)

    def columns(self) -> list[tuple[float, ...]]:
        "What each epoch took, and what was seen, NaN for None; where one was done twice, the later time counts."
        rows = {int(epoch): row for epoch, *row in csv.reader(self.path.read_text().splitlines())}
        numbers = [[float(each or "nan") for each in rows[epoch]] for epoch in sorted(rows)]
        return list(zip(*numbers, strict=True))

    def spent(self) -> float:
        "What all epochs took."
        return sum(self.columns()[0])


def train_beside(path, hp, data, seed: int, **how) -> tuple:
    "A run folder beside the result file `path`, after its training or the rest of it, and its `Epochs`."
    run, epochs = path.with_suffix(""), Epochs(path.with_suffix(".csv"), **how)
    train(hp, data, run, seed, callbacks=(epochs,), verbose=False)
    return run, epochs
