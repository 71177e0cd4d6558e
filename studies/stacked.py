"""Losses with and without a gradient penalty on Stacked MNIST: nbs/results/stacked.json and .npz, for chapter 33.

Settled before the first run:

- All arms have the recipe `stacked` and as many updates, 4 epochs of 859. They differ in the loss; `none` has no penalty
  and the beta_1 of 0.5 that it is usually trained with, the others 0. (It was to be 6 epochs, and became 4 in the middle
  of the first run, before anything had been counted, because it took three times as long as planned.)
- `long` is `r3` with all 30 epochs of the recipe. It is no arm of the comparison.
- `none_0` is `none` with a beta_1 of 0. It was added after the first seeds of `none`, `r3` and `r1` had been counted, to
  tell what the penalty does from what beta_1 does.
- What counts is `kl`, over 26,000 images by the average of the generator's weights, then `modes`. The same is counted
  for the last weights (`last`), and told beside it.
- A penalty helps where its arm has the lower KL than `none` with each seed that both have been trained with.
- The order of R3GAN's table (R3 before R1 + R2, and both before the arms with R1 alone) shows where each arm's worst KL
  is below the best of the next. With fewer than three seeds an arm, nothing is said of it but what was seen.
"""

from functools import cache

import numpy as np

from learning_gan.measure.measures import STACKS, count_modes
from learning_gan.parts.data import Dataset, load_mnist, to_pixels
from learning_gan.parts.recipes import recipe
from learning_gan.run.sampling import load_model, sample
from learning_gan.trials.studies import Study
from studies import ABOUT, SEED, by_arm, save_arrays, train_beside

ARMS = {
    "none": {"loss": "non_saturating", "beta_1": 0.5},
    "none_0": {"loss": "non_saturating"},
    "r1": {"loss": "r1"},
    "r1_r2": {"loss": "r1_r2"},
    "rp_r1": {"loss": "r1_relativistic"},
    "r3": {"loss": "r3"},
    "long": {"loss": "r3", "epochs": 30},
}
PERFECT = 1_000  # draws of perfect samples, for the floor
SHOWN = 24  # images of each run that are kept


@cache
def stacks() -> Dataset:
    "Stacked MNIST."
    data = load_mnist("stacked")
    assert data.name == "stacked"
    return data


@cache
def shares() -> np.ndarray:
    "How often each digit stands in a channel of the test images."
    digits = STACKS.kinds_of(stacks().test.labels)
    return np.bincount(digits, minlength=10) / len(digits)


def count(images: np.ndarray) -> dict:
    "Modes and KL of images, as the classifier reads them."
    return STACKS.census(STACKS.describe(images)[1], shares())


def do(path, cell: str, seed: int, n: int, **changes) -> dict:
    "Train an arm, in a run folder that it goes on with, and count its modes."
    run, epochs = train_beside(path, recipe("stacked", **changes | ARMS[cell]), stacks(), seed)
    gan, minutes = load_model(run), epochs.spent() / 60
    found = {"arm": cell, "seed": seed, "updates": int(gan.updates.numpy()), "minutes": minutes}
    images = sample(gan.averaged_generator(), n, SEED)
    np.save(path.with_suffix(".npy"), to_pixels(images[:SHOWN]))
    return found | count(images) | {"last": count(sample(gan.generator, n, SEED))}


def floor(n: int) -> dict:
    "What perfect samples get: labels drawn at random, and real test images read by the classifier."
    rng = np.random.default_rng(SEED)
    drawn = [count_modes(rng.choice(10, (3, n), p=shares()), shares()) for _ in range(PERFECT)]
    kl, modes = (np.array([each[name] for each in drawn]) for name in ("kl", "modes"))
    perfect = {"kl": kl.mean(), "kl_range": np.quantile(kl, [0.025, 0.975]).tolist(), "modes": modes.mean()}
    return {"n": n, "perfect": perfect, "real": count(stacks().test.images[:n])}


def pack(runs: dict, how: dict) -> dict:
    "All runs, and the floor."
    return {"floor": floor(how["n"]), "runs": list(runs.values())}


def after(runs, out) -> None:
    "What each arm draws with its first seed."
    kept = {arm: runs / f"{arm}-0.npy" for arm in ARMS}
    shown = {arm: np.load(path) for arm, path in kept.items() if path.exists()}
    save_arrays(out / "stacked.npz", real=stacks().test.images[:SHOWN], **shown)


HOW = {"n": 26_000, "epochs": 4}
CELLS = dict.fromkeys(ARMS, range(3))
STUDY = Study("stacked", "stacked", do, CELLS, HOW, pack, by_arm, ABOUT, after=after)
