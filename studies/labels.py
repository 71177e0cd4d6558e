"""A classifier that is shown a few labels, with the generator and without: nbs/results/hundred_labels.json and .npz.

For chapter 36. The recipe of `gan` was chosen on the validation images with other seeds (100 and up), but for the epsilon
of the generator's Adam, which was changed after seed 6 of the arm `first` had diverged; so `gan` has seeds from 10 on. Its
test errors, and those of `first` and `long`, are counted after each epoch, for the curve; those of seeds below 10 were
seen when that epsilon was chosen, and those of `gan` when `long`, which trains its seeds for 300 epochs, was added. What
counts is the end.

The rules of what came later, each written before its first run:

What the generator adds. `control` is the same classifier without a generator (virtual adversarial training), `fool` has a
generator that fools instead of matching features. Both have the values of `gan`, its 44,000 updates, the same 59,900
images without labels and seeds of `gan`, 10 to 19 and 10 to 14. Test errors are counted once a seed, at the end. An arm
is said to be better or worse than `gan` if the 95 % interval of the difference, seed by seed, has 0 outside. The length
of control's push is that of the `explore/push_*` with the fewest errors.

Below 93. Cells `explore/*` are trained on 55,000 images, 100 of them with labels, and their errors are counted on the
5,000 validation images, whose labels are used for nothing but this choice: it takes 5,000 labels more than the hundred.
They never see a test image. Seeds 100 to 104; cells are compared by their means over the seeds that all of them have.
1. Each of `CHANGES` alone. It is taken over if its mean is below that of `base`; of two strengths only the better. What
   has not been trained is not taken over.
   `quick` saves a ninth of the time of an update, and spends it on more updates.
2. `far` trains for as long as 72 minutes of a CPU allow, `far_joined` with all that was taken over as well.
3. `chosen` is the one of these two with the fewer errors, and becomes the recipe `labels`. The commit that holds these
   results is tagged `labels-chosen` before the first run of `chosen/100`, seeds 20 to 29, which nobody has seen before.
   Test errors are counted once a seed. The goal: a mean below 93.
"""

import itertools
import json
from dataclasses import replace
from functools import cache, partial

import numpy as np

from learning_gan.core.backend import keras, tf
from learning_gan.parts.adam import FusedAdam
from learning_gan.parts.data import Dataset, Images, to_pixels, to_unit_range
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
from learning_gan.trials.studies import Study, StudyError, interval, load_results
from studies import ABOUT, by_cell, mnist, save_arrays, train_beside

SHORT = {"model": "labels", "gamma": 0.0, "decay": 0.3, "average": 0.999, "epochs": 160}  # 44,000 updates
ARMS = {"gan": {}, "long": {"epochs": 300}, "first": {"model": "labels_first"}}  # changes of `SHORT`
ARMS |= {"fool": {"model": "labels_fool"}, "control": {"model": "labels_control"}, "chosen": {}}
CHANGES = {"average": {"average": 0.9999}, "sure": {"model": "labels_sure"}}
CHANGES |= {"quick": {"model": "labels_quick", "epochs": 180}}  # as long as `base` takes
CHANGES |= {f"smooth_{n}": {"model": "labels_smooth", "gamma": 10.0**-n} for n in (2, 3)}
FAR = {"epochs": 450}  # 123,750 updates
PUSHES = {
    f"push_{n}": {"gamma": n / 10} | ARMS["control"] for n in (6, 12, 20)
}  # 0.6 is that of the authors' code
EXPLORED = {"base": {}} | CHANGES | PUSHES | {"far": FAR, "far_joined": FAR}
CELLS = {"gan/100": range(10, 20), "gan/50": range(10, 15), "gan/20": range(10, 15)}
CELLS |= {f"{arm}/{n}": range(10 if n == 100 else 5) for arm in ("noise", "plain") for n in (100, 50, 20)}
CELLS |= {"long/100": range(10, 20), "first/100": range(7)}  # `first` was given up after its seed 6
CELLS |= {"control/100": range(10, 20), "fool/100": range(10, 15), "chosen/100": range(20, 30)}
CELLS |= {f"explore/{name}": range(100, 105) for name in EXPLORED}
LOOKED_AT = ("gan", "long", "first")  # arms whose test errors were counted after each epoch
SHOWN, LOST = "gan-100-10", ("first-100-6", (24, 25, 26, 27, 30))  # runs that are drawn, some epochs


@cache
def without_test() -> Dataset:
    "MNIST without its test images; its validation images stand where they stood."
    return replace(mnist(), validation=mnist().validation[:0], test=mnist().validation)


def mistaken(classifier, data: Dataset) -> np.ndarray:  # bool, one for each
    "Which test images a classifier takes for another digit."
    return predicted(classifier, data.test.images) != data.test.labels


def errors(data: Dataset, model, epoch) -> list:
    "How many test images are wrong now."
    return [mistaken(model.classifier(), data).sum()]


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


def explored(*needed: str, maybe=()) -> dict:
    """Mean errors on validation images of cells of `explore`, over the seeds that all of them have, the fewest first; cells
    that may be there are left out where they have no run."""
    runs = by_cell(unpack(load_results("hundred_labels")))
    names = [*needed, *(name for name in maybe if f"explore/{name}" in runs)]
    seeds = set.intersection(*(set(runs.get(f"explore/{name}", {})) for name in names)) if names else ()
    if not seeds:
        raise StudyError(f"no seed of explore has all of {', '.join(names or maybe)}: train them first")
    means = {name: np.mean([runs[f"explore/{name}"][seed]["errors"] for seed in seeds]) for name in names}
    return dict(sorted(means.items(), key=lambda item: item[1]))


def joined() -> dict:
    "`FAR` with all changes that have fewer errors than `base`; of the strengths of `smooth` only the better."
    better = [*itertools.takewhile(lambda name: name != "base", explored("base", maybe=CHANGES))]
    values = {key: value for name in reversed(better) for key, value in CHANGES[name].items()}
    kinds = [kind for kind in ("quick", "smooth", "sure") if any(name.startswith(kind) for name in better)]
    kinds = [kind for kind in kinds if kind != "smooth" or "sure" not in kinds]  # "sure" is smooth as well
    longer = values.pop("epochs", SHORT["epochs"]) / SHORT["epochs"]
    return values | {"model": "_".join(["labels", *kinds]), "epochs": int(FAR["epochs"] * longer)}


def changes_of(cell: str) -> dict:
    "What a cell changes in `SHORT`; some of it is chosen by `explore`, see above."
    arm, which = cell.split("/")
    if arm == "explore":
        return joined() if which == "far_joined" else EXPLORED[which]
    if arm == "chosen":
        return changes_of(f"explore/{next(iter(explored('far', 'far_joined')))}")
    return ARMS[arm] | (PUSHES[next(iter(explored(maybe=PUSHES)))] if arm == "control" else {})


def do(path, cell: str, seed: int, **changes) -> dict:
    "Train an arm of the study, in a run folder that it goes on with, and count its errors."
    arm, which = cell.split("/")
    if arm in ("noise", "plain"):
        _, labelled = hide_labels(mnist(), int(which), seed)
        wrong = mistaken(train_alone(labelled, seed, noise=arm == "noise"), mnist())
        told = {"labels": int(which), "seed": seed, "errors": int(wrong.sum()), "n_test": len(wrong)}
        return told | {"arm": arm}
    ours = changes_of(cell)
    if arm == "explore":
        told = train_on(path, without_test(), seed, ours | changes)
    else:
        told = train_on(path, mnist(), seed, ours | {"labels": int(which)} | changes, look=arm in LOOKED_AT)
    return told | {"arm": cell if arm == "explore" else arm, "changes": ours}


def train_on(path, data: Dataset, seed: int, changes: dict, look: bool = True) -> dict:
    "What a run leaves in `result.json`, how long it took, and, if we look, its errors after each epoch."
    hp = recipe("labels", **SHORT | changes)
    run, epochs = train_beside(path, hp, data, seed, **{"look": partial(errors, data)} if look else {})
    took, *curve = epochs.columns()
    told = json.loads((run / "result.json").read_text()) | {"seconds": sum(took)}
    return told | ({"curve": [*map(int, *curve)]} if look else {})


def pack(runs: dict, how: dict) -> dict:
    "All runs that count, those of the choice, and the mean errors of each cell that has two or more."
    explored = {key: run for key, run in runs.items() if key[0].startswith("explore/")}
    counted = {key: run for key, run in runs.items() if key not in explored}
    return means_of(counted) | {"explored": means_of(explored)}


def means_of(runs: dict) -> dict:
    "Runs, and the mean errors of each cell that has two or more."
    errors = {cell: [run["errors"] for run in each.values()] for cell, each in by_cell(runs).items()}
    means = {cell.replace("/", "-"): interval(n, least=0) for cell, n in errors.items() if len(n) > 1}
    return {"means": means, "runs": list(runs.values())}


def unpack(kept: dict) -> dict:
    "The runs again."
    counted = {(f"{run['arm']}/{run['labels']}", run["seed"]): run for run in kept["runs"]}
    return counted | {(run["arm"], run["seed"]): run for run in kept.get("explored", {"runs": []})["runs"]}


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
