"""The studies of the book, a file each: `make study NAME=court` does one, or goes on with it.

nbs/machine/68_studies.ipynb tells how. What a study counts was settled, and committed, before its first run.
"""

from functools import cache

from learning_gan.measure.measures import CLASSIFIER_SHA256
from learning_gan.measure.scoring import Reference
from learning_gan.parts.data import Dataset, load_mnist

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
