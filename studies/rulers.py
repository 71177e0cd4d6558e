"""What the book says of recipes, by its own ruler and by a second one: nbs/results/rulers.json, for chapter 20.

Settled before the first counted run:

- `post`, `steady`, `tuned`, `dcgan`, `digits`, `vae` and `flow` are trained by their recipes, or are the runs of the
  chapters and studies that the book has them from. `flow/1`, `flow/2` and `flow/10` are one training run. 10,000 images
  are drawn with the average of the generator's weights, where one is kept, and the same images are scored by both
  rulers: learning_gan/classifier.npz, and studies/_second_ruler.py. `real` is the floor of each, of images it has not
  seen.
- `CLAIMS` are what chapters 20, 30, 31 and 37 say of two of them: a measure, whose mean is lower, whose is higher. On
  a ruler a claim holds where Welch's 95 % interval of the difference of the means is below zero (the floor counts as
  a number), it is reversed where the interval is above zero, else it is open. Claims were made before, on other
  grounds, so nothing is corrected for their number.
- What the book claims must hold on both. Where it does not, the chapter says so.
- Before this was written, one run each of `post`, `steady`, `tuned` and `vae` had been scored by the second ruler, to
  see that it works. Neither its layers nor what it learns from was changed after that.
"""

import numpy as np
from filelock import FileLock
from scipy import stats

from learning_gan.parts.recipes import recipe
from learning_gan.run.sampling import load_model, sample
from learning_gan.trials.studies import Study
from studies import ABOUT, SEED, by_cell, mnist, reference, train_beside, without
from studies._second_ruler import SHA256, floor, second
from studies.families import drawing

FLOWS = {f"flow/{steps}": range(3) for steps in (10, 1, 2)}
CELLS = {"real": range(1), "vae": range(3)} | FLOWS | {"steady": range(5), "tuned": range(5)}
CELLS |= {name: range(3) for name in ("dcgan", "digits", "post")}
TOLD = ("frechet", "precision", "recall", "density", "coverage")
CLAIMS = (  # a measure, whose mean is lower, whose is higher
    ("frechet", "steady", "post"),
    ("frechet", "tuned", "steady"),
    ("frechet", "dcgan", "tuned"),
    ("frechet", "digits", "dcgan"),
    ("frechet", "flow/10", "tuned"),
    ("frechet", "dcgan", "flow/10"),
    ("frechet", "digits", "flow/10"),
    ("frechet", "flow/10", "flow/2"),
    ("frechet", "flow/2", "flow/1"),
    ("frechet", "tuned", "vae"),
    ("frechet", "dcgan", "vae"),
    ("frechet", "digits", "vae"),
    ("coverage", "post", "real"),
    ("coverage", "dcgan", "digits"),
    ("recall", "tuned", "steady"),
    ("precision", "dcgan", "digits"),
    ("precision", "vae", "real"),
    ("recall", "real", "vae"),
    ("recall", "digits", "real"),
    ("precision", "vae", "digits"),
    ("recall", "digits", "vae"),
)


def do(path, cell: str, seed: int, n: int, **changes) -> dict:
    "Train a recipe, unless it has been, and score its images by both rulers."
    name, _, steps = cell.partition("/")
    if name == "real":
        return {"first": {key: reference(n).real[key] for key in TOLD}, "second": floor(n)}
    run = path.with_name(f"{name}-{seed}")
    with FileLock(run.with_suffix(".lock")):  # several numbers of steps are of one training run
        train_beside(run, recipe(name, **changes), mnist(), seed)
    images = sample(drawing(load_model(run), int(steps or 0)), n, SEED)
    first = reference(n).measure(images)
    return {"first": {key: first[key] for key in TOLD}, "second": second(images)}


def verdict(low: list, high: list) -> dict:
    "Welch's interval of a difference of means, and what it says; one value alone counts as a number."
    if len(high) == 1 or len(low) == 1:
        test = stats.ttest_1samp(np.subtract.outer(low, high).ravel(), 0)
    else:
        test = stats.ttest_ind(low, high, equal_var=False)
    ends = [float(end) for end in test.confidence_interval()]
    return {"ci95": ends, "says": "holds" if ends[1] < 0 else "reversed" if ends[0] > 0 else "open"}


def pack(runs: dict, how: dict) -> dict:
    "Each run, and each claim of two cells that have been scored, on both rulers."
    cells, claims = by_cell(runs), []
    for measure, low, high in CLAIMS:
        if low in cells and high in cells and min(len(cells[cell]) for cell in {low, high} - {"real"}) > 1:
            values = {
                ruler: [[run[ruler][measure] for run in cells[cell].values()] for cell in (low, high)]
                for ruler in ("first", "second")
            }
            said = {ruler: verdict(*pair) for ruler, pair in values.items()}
            claims.append({"measure": measure, "low": low, "high": high} | said)
    return {
        "runs": [{"cell": cell, "seed": seed} | run for (cell, seed), run in runs.items()],
        "claims": claims,
    }


def unpack(kept: dict) -> dict:
    "The runs again."
    return {(run["cell"], run["seed"]): without(run, "cell", "seed") for run in kept["runs"]}


ABOUT_BOTH = ABOUT | {"second_ruler_sha256": SHA256}
STUDY = Study("rulers", "rulers", do, CELLS, {"n": 10_000}, pack, unpack, ABOUT_BOTH)
