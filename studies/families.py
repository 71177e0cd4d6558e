"""A VAE and a flow beside the GANs, by one ruler: nbs/results/families.json and .npz, for chapter 37.

Settled before the first run:

- `vae` and `flow` are trained by their recipes. The images of a flow are made in 1, 2, 10 and 50 steps by the same
  weights: `flow/1` and so on. `post`, `tuned`, `dcgan` and `digits` are as recorded in recipes.json and baseline.json;
  here only their time is measured. `flow` and `digits` are told the label, the others are not.
- Images are drawn with the average of the generator's weights, where one is kept. What counts is `frechet`, of 10,000
  images; precision, recall and coverage are told beside it.
- `ms_per_image` is CPU time of one thread, of 1,000 images drawn together. `minutes` is CPU time of one thread that the
  updates took; of the GANs, the second epoch's times the epochs of the recipe.
- A family is ahead of another where each of its seeds has a lower Fréchet distance than each of the other's, and both
  have three seeds or more. With fewer, nothing is said but what was seen.
- The recipes of `vae` and `flow` were tried with seed 100 for an epoch or a few; what was tried stands in the ledger.
"""

import csv
import time
from functools import cache

import numpy as np

from learning_gan.core.backend import keras
from learning_gan.core.files import atomic_path
from learning_gan.parts.data import to_pixels
from learning_gan.parts.recipes import recipe
from learning_gan.run.flow import euler
from learning_gan.run.sampling import load_model, sample
from learning_gan.run.training import train
from learning_gan.trials.studies import Study, load_results
from studies import ABOUT, SEED, mnist, reference, without

TRAINED = {"vae": range(5), "flow": range(3)}
GANS = ("post", "tuned", "dcgan", "digits")  # trained by other studies
STEPS = (1, 2, 10, 50)
TOLD = ("frechet", "precision", "recall", "density", "coverage", "histogram_kl", "memorisation")
SHOWN = 20  # images of each family that are kept
LOT = 1_000


class Clock(keras.callbacks.Callback):
    "Writes down the CPU time of each epoch's updates, and every few epochs what the images are like by then."

    def __init__(self, path, every: int = 0, curve_n: int = 0):
        super().__init__()
        self.path, self.every, self.curve_n = path, every, curve_n

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        spent, frechet = time.process_time() - self.start, ""
        if self.every and (epoch + 1) % self.every == 0:
            images = sample(self.model.averaged_generator(), self.curve_n, SEED)
            frechet = reference(self.curve_n).measure(images)["frechet"]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([epoch + 1, spent, frechet])

    def read(self) -> list:
        "(epoch, seconds, Fréchet distance or '') of each epoch; where one was done twice, the later one counts."
        rows = csv.reader(self.path.read_text().splitlines())
        return [(epoch, *each) for epoch, each in sorted({int(row[0]): row[1:] for row in rows}.items())]


def timed(generator) -> float:
    "CPU time that an image takes, in milliseconds, where many are drawn together."
    sample(generator, LOT, SEED)
    start = time.process_time()
    sample(generator, LOT, SEED)
    return 1_000 * (time.process_time() - start) / LOT


def generators(model) -> dict:
    "What draws, by the number of steps; 0 where there are none."
    whole = model.averaged_generator() if model.averages else model.generator
    if not hasattr(model, "velocity"):
        return {0: whole}
    return {steps: euler(whole.get_layer("velocity"), steps) for steps in STEPS}


def do(path, cell: str, seed: int, n: int, every: int, curve_n: int, **changes) -> dict:
    "Train a family and score its images; of a GAN, two epochs for the time."
    run, trained = path.with_suffix(""), cell in TRAINED
    hp = recipe(cell, **changes if trained else {"epochs": 2})
    clock = Clock(path.with_suffix(".csv"), every if trained else 0, curve_n)
    train(hp, mnist(), run, seed, callbacks=(clock,), verbose=False)
    epochs, drawn = clock.read(), {}
    for steps, generator in generators(load_model(run)).items():
        drawn[steps] = {"ms_per_image": timed(generator)}
        if trained:
            images = sample(generator, n, SEED)
            np.save(path.with_suffix(f".{steps}.npy"), to_pixels(images[:SHOWN]))
            score = reference(n).measure(images)
            drawn[steps] |= {key: score[key] for key in TOLD}
    seconds = [float(spent) for _, spent, _ in epochs]
    minutes = (sum(seconds) if trained else seconds[1] * recipe(cell).epochs) / 60
    curve = [[epoch, float(frechet)] for epoch, _, frechet in epochs if frechet]
    return {"drawn": drawn, "minutes": minutes, "epochs": hp.epochs, "curve": curve}


@cache
def recorded(name: str) -> dict:
    "The scores of a GAN, by its seeds, as other studies have them."
    if name == "post":
        return {run["seed"]: run["generated"] for run in load_results("baseline")["runs"]}
    return {run["seed"]: run["averaged"] for run in load_results("recipes")["recipes"][name]["runs"]}


def pack(runs: dict, how: dict) -> dict:
    "A row for each family, seed and number of steps, the floor, and what the scores and the times are of."
    rows = []
    for (cell, seed), run in runs.items():
        for steps, drawn in run["drawn"].items():
            one = {"family": cell, "steps": int(steps), "data": "mnist", "minutes": run["minutes"]} | drawn
            if cell in TRAINED:
                rows.append(one | {"seed": seed})
            else:
                scores = recorded(cell).items()
                rows += [one | {"seed": each} | {key: score[key] for key in TOLD} for each, score in scores]
    kept = [{"cell": cell, "seed": seed} | run for (cell, seed), run in runs.items()]
    return {"floor": {key: reference(how["n"]).real[key] for key in TOLD}, "runs": rows, "kept": kept}


def unpack(kept: dict) -> dict:
    "The runs again."
    return {(run["cell"], run["seed"]): without(run, "cell", "seed") for run in kept["kept"]}


def after(runs, out) -> None:
    "What each family draws with its first seed, and real test images."
    shown = {}
    for path in sorted(runs.glob("*-0.*.npy")):
        cell, steps = path.name.partition("-0.")[::2]
        shown[f"{cell}_{steps.removesuffix('.npy')}"] = np.load(path)
    with atomic_path(out / "families.npz") as temporary:
        np.savez_compressed(temporary, real=mnist().test.images[:SHOWN], **shown)


HOW = {"n": 10_000, "every": 2, "curve_n": 2_000}
CELLS = TRAINED | dict.fromkeys(GANS, range(1))
STUDY = Study("families", "families", do, CELLS, HOW, pack, unpack, ABOUT, after=after)
