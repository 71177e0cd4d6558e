"""A VAE and a flow beside the GANs, by one ruler: nbs/results/families.json and .npz, for chapter 37.

Settled before the first run:

- `vae` and `flow` are trained by their recipes. `flow/1`, `flow/2`, `flow/10` and `flow/50` are one training run, whose
  weights draw in so many steps. `tuned`, `dcgan` and `digits` are as recorded in recipes.json; here only the time that
  an image takes is measured. `flow` and `digits` are told the label, the others are not.
- Images are drawn with the average of the generator's weights, where one is kept. What counts is `frechet`, of 10,000
  images; precision, recall and coverage are told beside it.
- `ms_per_image` is CPU time of one thread, where the 10,000 images are drawn 1,000 at a time. `minutes` is CPU time of
  one thread that the updates took; of the GANs, the time recorded for the seed that took the least, start and end
  included.
- A family is ahead of another where each of its seeds has a lower Fréchet distance than each of the other's, and both
  have three seeds or more. With fewer, nothing is said but what was seen.
- The recipes of `vae` and `flow` are the first that were written down. Those of the GANs were chosen from many. (`flow`
  was to have four epochs, and became three in the middle of its first run, when one point of its curve was known and
  nothing had been scored, because it took longer than planned: three are the minutes of `digits`.)

Added when the results of `vae`, `flow/1`, `flow/2` and `flow/10` were known, and settled before the first run of it:

- `long/10` and `long/50` are the flow after 16 epochs, some 30 CPU minutes, since it was still improving after three.
- `paper` is the recipe `dcgan` with the numbers of DCGAN's authors where they give some (`PAPER`): a GAN that was tuned
  as little here as the VAE and the flow.
- On Stacked MNIST, where the families have room to differ: `stacked/gan` is the recipe `stacked`, `stacked/vae` the
  recipe `vae`, `stacked/flow/10` the flow after 16 epochs. None is told anything. What counts is `frechet` by the ruler
  of that data; `modes` and `kl` are told beside it. Hangul is left out: its generator is told letters, which the other
  two have no way to be told.
- Three seeds of each. What is ahead is said as above; families of different data are not compared.
"""

import math
import time
from functools import cache

import numpy as np
from filelock import FileLock

from learning_gan.core.backend import keras
from learning_gan.measure.scoring import Reference
from learning_gan.parts.data import to_pixels
from learning_gan.parts.recipes import recipe
from learning_gan.run.flow import euler
from learning_gan.run.sampling import load_model, sample
from learning_gan.run.training import build_model
from learning_gan.trials.studies import Study, load_results
from studies import ABOUT, SEED, mnist, reference, save_arrays, train_beside, without
from studies.stacked import stacks

PAPER = dict(z_size=100, smooth=0.0, batch_size=128, learning_rate=2e-4, decay=0.0, average=0.0)
ARMS = {  # the training run, its recipe and what is changed in it, and the steps of a flow
    "vae": ("vae", "vae", {}, 0),
    **{f"flow/{steps}": ("flow", "flow", {}, steps) for steps in (10, 1, 2, 50)},
    **{f"long/{steps}": ("long", "flow", {"epochs": 16}, steps) for steps in (10, 50)},
    "paper": ("paper", "dcgan", PAPER, 0),
    "stacked/gan": ("stacked-gan", "stacked", {}, 0),
    "stacked/vae": ("stacked-vae", "vae", {}, 0),
    "stacked/flow/10": ("stacked-flow", "flow", {"epochs": 16, "architecture": "unet"}, 10),
}
TRAINED = dict.fromkeys(ARMS, range(3)) | {"vae": range(5)}
GANS = ("tuned", "dcgan", "digits")  # trained by another study
TOLD = ("frechet", "precision", "recall", "density", "coverage", "histogram_kl", "memorisation")
CENSUS = ("modes", "kl", "kl_dependence")  # told beside them, of Stacked MNIST
SHOWN = 20  # images of each family that are kept


@cache
def _stacks(n: int) -> Reference:
    return Reference(stacks(), n, SEED)


def of(cell: str, n: int) -> Reference:
    "What n images of a cell are scored against."
    return _stacks(n) if cell.startswith("stacked/") else reference(n)


def best(model) -> keras.Model:
    "The generator, with averaged weights where they are kept."
    return model.averaged_generator() if model.averages else model.generator


def drawing(model, steps: int) -> keras.Model:
    "The generator with averaged weights, where they are kept, in so many steps; 0 where there are none."
    whole = best(model)
    return euler(whole.get_layer("velocity"), steps) if steps else whole


def timed(generator, n: int):
    "n images, and the CPU time that one takes, in milliseconds."
    start = time.process_time()
    images = sample(generator, n, SEED)
    return images, 1_000 * (time.process_time() - start) / n


def do(path, cell: str, seed: int, n: int, every: int, curve_n: int, **changes) -> dict:
    "Train a family, unless it has been, and score what it draws; of a GAN, time alone."
    if cell in GANS:
        return {"ms_per_image": timed(build_model(recipe(cell), seed).generator, n)[1]}
    name, made_by, own, steps = ARMS[cell]
    run, hp = path.with_name(f"{name}-{seed}"), recipe(made_by, **own | changes)

    def so_far(model, epoch):
        "Every few epochs, the Fréchet distance."
        if epoch % every:
            return [None]
        images = sample(best(model), curve_n, SEED)
        return [of(cell, curve_n).measure(images)["frechet"]]

    with FileLock(run.with_suffix(".lock")):  # several numbers of steps are of one training run
        _, epochs = train_beside(run, hp, of(cell, n).data, seed, clock=time.process_time, look=so_far)
    images, ms = timed(drawing(load_model(run), steps), n)
    np.save(path.with_suffix(".npy"), to_pixels(images[:SHOWN]))
    score, (_, frechet) = of(cell, n).measure(images), epochs.columns()
    curve = [[epoch, each] for epoch, each in enumerate(frechet, 1) if not math.isnan(each)]
    told = {"ms_per_image": ms, "minutes": epochs.spent() / 60, "epochs": hp.epochs, "curve": curve}
    return told | {key: score[key] for key in (*TOLD, *CENSUS) if key in score}


@cache
def recorded(name: str) -> dict:
    "The scores of a GAN by its seeds, and the minutes of its training, as another study has them."
    runs = load_results("recipes")["recipes"][name]["runs"]
    minutes = {"minutes": min(run["seconds"] for run in runs) / 60}
    return {run["seed"]: minutes | {key: run["averaged"][key] for key in TOLD} for run in runs}


def rows(cell: str, seed: int, run: dict) -> list[dict]:
    "A row for each seed of a family: ours, or those that other studies have recorded."
    family, steps = (cell, 0) if cell in GANS else (ARMS[cell][1], ARMS[cell][3])
    data = "stacked" if cell.startswith("stacked/") else "mnist"
    one = {"cell": cell, "family": family, "steps": steps, "data": data}
    if cell in TRAINED:
        return [one | {"seed": seed} | run]
    return [one | {"seed": each} | run | scores for each, scores in recorded(cell).items()]


def pack(runs: dict, how: dict) -> dict:
    "A row for each family, number of steps and seed, and the floor."
    floor = {key: reference(how["n"]).real[key] for key in TOLD}
    if any(cell.startswith("stacked/") for cell, _ in runs):
        floor["stacked"] = {key: of("stacked/", how["n"]).real[key] for key in (*TOLD, *CENSUS)}
    return {"floor": floor, "runs": [row for key, run in runs.items() for row in rows(*key, run)]}


def unpack(kept: dict) -> dict:
    "The runs again."
    runs = {}
    for row in kept["runs"]:
        own = row["cell"] in TRAINED
        known = () if own else (*TOLD, "minutes")
        run = without(row, "cell", "family", "steps", "data", "seed", *known)
        runs.setdefault((row["cell"], row["seed"] if own else 0), run)
    return runs


def after(runs, out) -> None:
    "What each family draws with its first seed, and real test images."
    drawn = {cell: runs / f"{cell.replace('/', '-')}-0.npy" for cell in TRAINED}
    shown = {cell.replace("/", "_"): np.load(path) for cell, path in drawn.items() if path.exists()}
    save_arrays(out / "families.npz", real=mnist().test.images[:SHOWN], **shown)


HOW = {"n": 10_000, "every": 2, "curve_n": 2_000}
CELLS = TRAINED | dict.fromkeys(GANS, range(1))
STUDY = Study("families", "families", do, CELLS, HOW, pack, unpack, ABOUT, after=after)
