"""How far real images are from real images: nbs/results/floor.json, for chapter 20.

`bias/n` are two samples of n images, without a common one, of those that the classifier has never seen; `block` and
`train` are 10,000 training images against the test images, a block of six or drawn anew; `post` is one generator with
other z.
"""

from functools import cache

import numpy as np

from learning_gan.core.backend import keras
from learning_gan.measure.measures import RULER_IMAGES, describe, frechet_distance
from learning_gan.run.sampling import sample
from learning_gan.trials.studies import Study, find_results, interval
from studies import ABOUT, mnist, without

SIZES, N = (1_250, 2_500, 5_000, 10_000), 10_000


@cache
def features() -> dict:
    "What the classifier sees in the test images, in all 60,000 others, and in those that it has never seen."
    data = mnist()
    test, train, held_out = (describe(part.images)[0] for part in (data.test, data.train, data.validation))
    unseen = np.concatenate([test, train[RULER_IMAGES:], held_out])
    return {"test": test, "others": np.concatenate([held_out, train]), "unseen": unseen}


def bias(draw: int, n: int) -> float:
    "Between two samples of n."
    drawn = np.random.default_rng([draw, n]).permutation(features()["unseen"])
    return frechet_distance(drawn[:n], drawn[n : 2 * n])


def block(draw: int) -> float:
    "Of a sixth of the training images, in their order."
    return frechet_distance(features()["test"], features()["others"][N * draw : N * (draw + 1)])


def train(draw: int) -> float:
    "Of training images drawn at random."
    drawn = np.random.default_rng([draw, 1]).permutation(features()["others"])
    return frechet_distance(features()["test"], drawn[:N])


def post(draw: int) -> float:
    "Of the generator that chapter 20 shows."
    generator = keras.models.load_model(find_results("baseline.keras"))
    return frechet_distance(features()["test"], describe(sample(generator, N, draw))[0])


def do(path, cell: str, seed: int) -> dict:
    "The distances of a cell."
    name, _, n = cell.partition("/")
    distance = {"bias": bias, "block": block, "train": train, "post": post}[name]
    return {"frechet": [distance(draw, *map(int, n.split())) for draw in range(DRAWS[cell])]}


def pack(runs: dict, how: dict) -> dict:
    "Mean, interval, and spread of each cell, and its distances."
    cells = {}
    for (cell, _), run in runs.items():
        cells[cell] = interval(run["frechet"]) | {"sd": float(np.std(run["frechet"], ddof=1))} | run
    return {"cells": cells}


def unpack(kept: dict) -> dict:
    "The runs again."
    return {(cell, 0): without(run, "mean", "ci95", "sd") for cell, run in kept["cells"].items()}


DRAWS = {f"bias/{n}": 100 for n in SIZES} | {"block": 6, "train": 100, "post": 10}
STUDY = Study("floor", "floor", do, {cell: range(1) for cell in DRAWS}, {}, pack, unpack, ABOUT)
