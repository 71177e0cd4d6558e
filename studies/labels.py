"""A classifier that is shown a few labels, with the generator and without: nbs/results/hundred_labels.json and .npz.

For chapter 36. The recipe was chosen on the validation images with other seeds (100 and up), but for the epsilon of the
generator's Adam, which was changed after seed 6 of the arm `first` had diverged; so `gan` has seeds from 10 on. Test
errors are counted after each epoch, for the curve; those of seeds below 10 were seen when that epsilon was chosen, and
those of `gan` when `long`, which trains its seeds for 300 epochs, was added. What counts is the end.
"""

import json

import numpy as np

from learning_gan.core.backend import keras, tf
from learning_gan.parts.adam import FusedAdam
from learning_gan.parts.data import Images, to_pixels, to_unit_range
from learning_gan.parts.generator import dense, split_seed
from learning_gan.parts.recipes import recipe
from learning_gan.run.folder import read_samples
from learning_gan.run.hundred_labels import (
    EPSILONS,
    WIDTHS,
    hide_labels,
    load_classifier,
    predicted,
    sorting_discriminator,
    standardise,
)
from learning_gan.run.sampling import load_generator, sample
from learning_gan.trials.studies import Study, interval
from studies import ABOUT, by_cell, mnist, save_arrays, train_beside

ARMS = {"gan": {}, "long": {"epochs": 300}, "first": {"model": "labels_first"}}  # of the recipe `labels`
CELLS = {"gan/100": range(10, 20), "gan/50": range(10, 15), "gan/20": range(10, 15)}
CELLS |= {f"{arm}/{n}": range(10 if n == 100 else 5) for arm in ("noise", "plain") for n in (100, 50, 20)}
CELLS |= {"long/100": range(10, 20), "first/100": range(7)}  # `first` was given up after its seed 6
SHOWN, LOST = "gan-100-10", ("first-100-6", (24, 25, 26, 27, 30))  # runs that are drawn, some epochs


def mistaken(classifier) -> np.ndarray:  # bool [10000]
    "Which test images a classifier takes for another digit."
    return predicted(classifier, mnist().test.images) != mnist().test.labels


def errors(model, epoch) -> list:
    "How many test images are wrong now."
    return [mistaken(model.classifier()).sum()]


def train_alone(labelled: Images, seed: int = 0, noise: bool = True, updates: int = 3_000) -> keras.Model:
    "The classifier without generator and without unlabelled images; `noise`: with weight normalisation as well."
    hp, classes = recipe("labels"), int(labelled.labels.max()) + 1
    rows = np.resize(np.arange(len(labelled)), max(100, len(labelled)))
    images = to_unit_range(labelled.images[rows])
    x = keras.Input(images.shape[1:])
    if noise:
        network = keras.Model(x, sorting_discriminator(x, classes, seed=seed).outputs[1])
        standardise(network, tf.constant(images))
    else:
        h = keras.layers.Flatten()(x)
        for units, layer_seed in zip(WIDTHS, split_seed(seed, len(WIDTHS)), strict=True):
            h = dense(units, layer_seed, activation="relu")(h)
        network = keras.Model(x, dense(classes, seed)(h))
    adam = FusedAdam(hp.learning_rate, hp.beta_1, epsilon=EPSILONS[0], use_ema=True, ema_momentum=0.99)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(adam, loss, jit_compile=False)
    batch = tf.constant(images), tf.constant(labelled.labels[rows], tf.int32)
    network.fit(tf.data.Dataset.from_tensors(batch).repeat(updates), shuffle=False, verbose=0)
    return network


def do(path, cell: str, seed: int, **changes) -> dict:
    "Train an arm of the study, in a run folder that it goes on with, and count its errors."
    arm, labels = cell.split("/")
    if arm in ARMS:
        hp = recipe("labels", **ARMS[arm] | {"labels": int(labels)} | changes)
        run, epochs = train_beside(path, hp, mnist(), seed, look=errors)
        took = {"curve": [*map(int, epochs.columns()[1])], "seconds": epochs.spent()}
        return json.loads((run / "result.json").read_text()) | {"arm": arm} | took
    _, labelled = hide_labels(mnist(), int(labels), seed)
    wrong = mistaken(train_alone(labelled, seed, noise=arm == "noise"))
    return {"labels": int(labels), "seed": seed, "errors": int(wrong.sum()), "n_test": len(wrong), "arm": arm}


def pack(runs: dict, how: dict) -> dict:
    "All runs, and the mean errors of each cell that has two or more."
    errors = {cell: [run["errors"] for run in each.values()] for cell, each in by_cell(runs).items()}
    means = {cell.replace("/", "-"): interval(n, least=0) for cell, n in errors.items() if len(n) > 1}
    return {"means": means, "runs": list(runs.values())}


def unpack(kept: dict) -> dict:
    "The runs again."
    return {(f"{run['arm']}/{run['labels']}", run["seed"]): run for run in kept["runs"]}


def pictures(shown, lost, epochs: tuple) -> dict:
    "What the generator draws, the test digits that the classifier takes for others, samples of a run that diverged."
    taken_for = predicted(load_classifier(shown), mnist().test.images)
    wrong = np.flatnonzero(taken_for != mnist().test.labels)
    drawn = {"drawn": sample(load_generator(shown), 32), "lost": read_samples(lost)[np.array(epochs) - 1]}
    drawn = {name: to_pixels(images).reshape(*images.shape[:-3], -1) for name, images in drawn.items()}
    some = mnist().test[wrong[:32]]
    drawn |= {"mistaken": some.images, "labels": some.labels}
    return drawn | {"epochs": epochs, "wrong": wrong, "taken_for": taken_for[wrong]}


def after(runs, out) -> None:
    "The pictures, once the runs that are drawn are finished."
    shown, lost = runs / SHOWN, runs / LOST[0]
    if all((run / "result.json").exists() for run in (shown, lost)):
        save_arrays(out / "hundred_labels.npz", **pictures(shown, lost, LOST[1]))


STUDY = Study("labels", "hundred_labels", do, CELLS, {}, pack, unpack, {"data": ABOUT["data"]}, after=after)
