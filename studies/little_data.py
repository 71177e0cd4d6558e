"""A GAN with few training images, with DiffAugment and without: nbs/results/little_data.json and .npz, for chapter 34.

Settled before the first run that counts:

- An arm is `plain` or `augmented` (the model's name is `gan` or `augmented`), and how many training images it is given:
  100, 1,000, 5,000, or all 55,000. They are drawn by the seed, and both arms, and smaller numbers, get some of the same.
- All have as many updates, 4 epochs of 1,375, with the recipe `dcgan`, made small, but the networks `plain`: with batch
  normalisation D judges a minibatch as a whole, so that what it says of one image could not be asked. The length was
  chosen by two runs that do not count (100 images, seed 99): after 2 epochs augmented images were still far from learnt.
- What counts is `frechet`, from 10,000 images by the average of the generator's weights to the 10,000 test images. A
  number of images is too few where each seed is above the worst of `plain/55000`; augmentation helps where it has the
  lower distance with each seed that both arms have been trained with, and hurts where it has the higher one.
- `closer` is the share of 1,000 generated images that are nearer, pixel by pixel, to an image that was given than to any
  of as many test images (5,000 at most on either side): about a half without copies, and `closer_real` for validation
  images and the same two sides. An arm copies where `closer` exceeds `closer_real` by more than 0.1 with each seed.
  Beside it are told `memorisation` as the scorecard has it, and what the diagnosis finds in the run folder.
- `seen`, `unseen` and `fake` are D's mean logits for images that were given, test images and generated ones, none of
  them augmented. They explain, and decide nothing.
- `copier` is the distance of 10,000 draws from the given images themselves: what copying alone would get.
- Three seeds are planned, the first seed of all arms first; where there are fewer, their number is told.
"""

from functools import cache

import numpy as np

from learning_gan.core.backend import tf
from learning_gan.measure.diagnosis import diagnose
from learning_gan.measure.measures import describe, frechet_distance, memorisation, nearest_training_images
from learning_gan.measure.records import read_run
from learning_gan.parts.data import to_pixels, to_unit_range
from learning_gan.parts.recipes import recipe
from learning_gan.run.sampling import load_model, sample
from learning_gan.trials.studies import Study
from studies import ABOUT, SEED, by_arm, mnist, save_arrays, train_beside

SIZES, MODELS = (100, 1_000, 5_000, 55_000), {"plain": "gan", "augmented": "augmented"}
SMALL = dict(architecture="plain", g_hidden_size=16, d_hidden_size=16, batch_size=40)
N, COMPARED, SHOWN, SIDE = (
    10_000,
    1_000,
    24,
    5_000,
)  # images scored, compared one by one, kept, and compared with


def given(size: int, seed: int) -> np.ndarray:
    "So many training images, drawn by the seed."
    images = mnist().train.images
    return images[np.random.default_rng([SEED, seed]).permutation(len(images))[:size]]


@cache
def features() -> np.ndarray:
    "What the classifier sees in the test images."
    return describe(mnist().test.images)[0]


def distance(seen: np.ndarray) -> float:
    "From the test images, of what the classifier sees."
    return frechet_distance(features(), seen)


def copies(images: np.ndarray, known: np.ndarray) -> dict:
    "How often images are nearer to a known one than to any of as many others, and than test images usually are."
    test = mnist().test.images
    distances = nearest_training_images(images, known)[0]
    usual = nearest_training_images(test[:COMPARED], known)[0]
    here = distances if len(known) <= SIDE else nearest_training_images(images, known[:SIDE])[0]
    there = nearest_training_images(images, test[-min(len(known), SIDE) :])[0]
    return {"closer": float((here < there).mean()), "memorisation": memorisation(distances, usual)}


def believed(gan, images) -> float:
    "D's mean logit."
    return float(tf.reduce_mean(gan.critic(tf.constant(to_unit_range(images)), training=False)))


def do(path, cell: str, seed: int, **changes) -> dict:
    "Train an arm, in a run folder that it goes on with, and score it."
    arm, size = cell.split("/")
    known, data = given(int(size), seed), mnist()
    run, epochs = train_beside(path, recipe("dcgan", model=MODELS[arm], **SMALL, **changes), known, seed)
    gan, minutes = load_model(run), epochs.spent() / 60
    images = sample(gan.averaged_generator(), N, SEED)
    nearest = known[nearest_training_images(images[:SHOWN], known)[1]]
    np.save(path.with_suffix(".npy"), (to_pixels(images[:SHOWN]), nearest))
    found = {"arm": cell, "seed": seed, "updates": int(gan.updates.numpy()), "minutes": minutes}
    found |= {"frechet": distance(describe(images)[0])} | copies(images[:COMPARED], known)
    found["closer_real"] = copies(data.validation.images[:COMPARED], known)["closer"]
    shown = {"seen": known[:COMPARED], "unseen": data.test.images[:COMPARED], "fake": images[:COMPARED]}
    found |= {name: believed(gan, each) for name, each in shown.items()}
    return found | {"diagnosis": [finding.name for finding in diagnose(read_run(run))]}


def copier(size: int) -> float:
    "What copying alone would get."
    known = given(size, SEED)[:N]
    return distance(describe(known)[0][np.random.default_rng(SEED).integers(0, len(known), N)])


def pack(runs: dict, how: dict) -> dict:
    "All runs; what copying alone would get; and the distance of training images that the classifier has not seen."
    real = distance(describe(mnist().train.images[-N:])[0])
    return {"real": real, "copier": {size: copier(size) for size in SIZES}, "runs": list(runs.values())}


def after(runs, out) -> None:
    "What each arm draws with its first seed, and what it was given that is nearest."
    kept = {arm: runs / f"{arm.replace('/', '-')}-0.npy" for arm in CELLS}
    shown = {arm.replace("/", "_"): np.load(path) for arm, path in kept.items() if path.exists()}
    save_arrays(out / "little_data.npz", **shown)


CELLS = {f"{arm}/{size}": range(3) for size in SIZES for arm in MODELS}
STUDY = Study("little_data", "little_data", do, CELLS, {"epochs": 4}, pack, by_arm, ABOUT, 8, after)
