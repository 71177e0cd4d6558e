"""Every failure and every healthy recipe, seed by seed: nbs/results/failures.json and .npz, for chapter 21.

The limits of the diagnosis were chosen by looking at the first seeds (`looked_at`); the matrix counts the others.
"""

import shutil

import numpy as np

from learning_gan.measure.records import read_run
from learning_gan.parts.data import to_pixels
from learning_gan.run.folder import read_samples, sample_files
from learning_gan.run.sampling import load_generator, sample
from learning_gan.trials.changes import FAILURES, HEALTHY, as_json, train_change
from learning_gan.trials.studies import Study
from studies import ABOUT, SEED, by_cell, mnist, reference, save_arrays

TWO_OF_A_KIND = ("d_dead", "d_frozen", "undertrained", "undertrained_post")  # share a failure's seeds
SEEDS = dict.fromkeys(FAILURES, 15) | dict.fromkeys(TWO_OF_A_KIND, 10) | dict.fromkeys(HEALTHY, 10)
SEEDS |= {"steady": 14, "steady_sharp": 14, "steady_20": 8, "post": 8, "dcgan_small": 6, "digits_small": 6}
LOOKED_AT = dict.fromkeys(FAILURES, 5) | dict.fromkeys(HEALTHY, 3)


def pictures(run, n: int) -> dict:
    "What is drawn of a run: its samples early, midway and at the end, and its score."
    if not sample_files(run):
        return {"epochs": np.empty(0, int)}
    samples = read_samples(run)
    epochs = np.array(sorted({1, (len(samples) + 1) // 2, len(samples)}))
    score = reference(n).measure(sample(load_generator(run), n, SEED))
    measures = {key: np.array(score[key]) for key in ("frechet", "precision", "recall", "coverage")}
    return {"epochs": epochs, "samples": to_pixels(samples[epochs - 1])[..., 0]} | measures


def record_of(run) -> dict:
    "The record of a run folder, which is not needed any more."
    record = as_json(read_run(run))
    shutil.rmtree(run)
    return record


def do(path, cell: str, seed: int, n: int, shown: int, **changes) -> dict:
    "The record of a run; the one that is shown leaves its pictures too."
    run = path.with_suffix("")
    train_change((FAILURES | HEALTHY)[cell], mnist(), run, seed, **changes)
    if seed == shown and (cell in FAILURES or cell == "steady"):
        np.savez(path.with_suffix(".npz"), **{f"{cell}/{key}": x for key, x in pictures(run, n).items()})
    return record_of(run)


def pack(runs: dict, how: dict) -> dict:
    "Records by failure and seed."
    records = by_cell(runs)
    return {"looked_at": {cell: LOOKED_AT[cell] for cell in records}, "records": records}


def unpack(kept: dict) -> dict:
    "The runs again."
    return {(cell, int(seed)): run for cell, seeds in kept["records"].items() for seed, run in seeds.items()}


def after(runs, out) -> None:
    "Put the pictures that there are beside those of the result file."
    arrays = {}
    for path in sorted(runs.glob("*.npz")):
        with np.load(path) as file:
            arrays |= dict(file)
    save_arrays(out / "failures.npz", **arrays)


CELLS = {cell: range(n) for cell, n in SEEDS.items()}
HOW = {"n": 2_000, "shown": 5}
STUDY = Study("failures", "failures", do, CELLS, HOW, pack, unpack, ABOUT, block=5, after=after)
