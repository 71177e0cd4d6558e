"""From the post to `dcgan`, one rung at a time: nbs/results/ladder.json, for chapter 30.

Settled before the first run:

- Each rung changes one thing in the recipe of the rung below; `numbers` is several numbers of the recipe at once,
  `convolutions` the layers alone. The last is `dcgan` but for its epochs. Beside them stand arms that differ from the
  last in one thing. `beta_1` and `average` are one training run, whose last weights and average are scored: the average
  takes no part in the training.
- `updates/…`: all are trained for 2,200 updates, a sixth of what `dcgan` has for itself. So what is found is what helps
  early. `minutes/…`: the dense rungs again, for as long as the last rung takes, `TIMES` as many updates. (That was to be
  12 to 16 times, from a short measurement on a core that others used; in the first two seeds of `updates` an update took
  2.3 ms, with `numbers` 1.3, against 56 of the last rung. So it became 24 and 44, before the first run of `minutes`.)
  Rungs with convolutions have one run for both; those with the narrow generator take half the time of the last.
- What counts is `frechet` of 10,000 images, by the average of the generator's weights where there is one. Pairs by seed:
  a step helps where the mean of the logs' differences from the rung below is negative, and its p, by Student's t and
  Holm-corrected over all steps of its budget, is below 0.05; it hurts where the mean is positive, likewise. `second` is
  the distance of the same images by the second ruler: where its mean difference has another sign, a step is open.
- Five seeds are planned: first three of the rungs, then one of the arms beside them and of `minutes`, then all others.
  With fewer than three seeds of a step, nothing is said of it but what was seen.
"""

import math
import time
from dataclasses import asdict
from itertools import pairwise

from learning_gan.core.backend import keras
from learning_gan.parts.dcgan import dcgan, one_logit
from learning_gan.parts.generator import split_seed
from learning_gan.parts.recipes import ARCHITECTURES, recipe
from learning_gan.run.sampling import load_model, sample
from learning_gan.trials.changes import SCORES, score_of
from learning_gan.trials.studies import Study, differences, holm, interval
from studies import ABOUT, SEED, by_cell, mnist, reference, train_beside
from studies._second_ruler import floor as second_floor
from studies._second_ruler import second

RUNGS = {  # what each changes in the one above it here
    "post": {},
    "beta_1": {"beta_1": 0.5},
    "average": {"average": 0.999},
    "z": {"z_size": 7},
    "numbers": {"architecture": "normal_weights", "alpha": 0.2, "batch_size": 50, "learning_rate": 8e-4},
    "convolutions": {"architecture": "dcgan_no_norm", "g_hidden_size": 32, "d_hidden_size": 24},
    "norm": {"architecture": "nearsighted"},
    "wider": {"g_hidden_size": 64},
    "dense": {"architecture": "dcgan"},
    "decay": {"decay": 0.5},
}
BESIDE = {"no_dense": {"architecture": "no_dense"}, "z_100": {"z_size": 100}}  # of the last rung
TIMES = {"post": 24, "beta_1": 24, "average": 24, "z": 24, "numbers": 44}
ARMS = [*RUNGS, *BESIDE]
PAIRS = [*pairwise(RUNGS), *((list(RUNGS)[-1], name) for name in BESIDE)]
RULERS = ("frechet", "second")
COLUMNS = ("updates", "minutes", *SCORES, "second", "made")
ONE_RUN = {"beta_1": "average"}  # the training run that a rung shares


def no_dense(hp, image_shape: tuple, seed: int | None = None):
    "DCGAN, but D goes straight from its third convolution to the logit."
    generator, whole = dcgan(hp, image_shape, seed)
    seen = keras.layers.Flatten(name="flat")(whole.get_layer("leaky_3").output)
    return generator, one_logit(whole.inputs, seen, split_seed(seed, 3)[-1])


ARCHITECTURES["no_dense"] = f"{__name__}:no_dense"


def recipe_of(name: str, updates: int, **more):
    "All that has changed up to a rung, or in an arm beside the last, for so many updates."
    names = list(RUNGS)
    below = names[: names.index(name) + 1] if name in names else names
    changes = {key: value for one in below for key, value in RUNGS[one].items()}
    hp = recipe(**changes | BESIDE.get(name, {}) | more)
    return recipe(**asdict(hp) | {"epochs": max(1, round(updates / hp.updates_per_epoch))})


def do(path, cell: str, seed: int, n: int, updates: int, **changes) -> dict:
    "Train a rung, unless the run it shares has been, and score it."
    budget, rung = cell.split("/")
    trained = ONE_RUN.get(rung, rung)
    hp = recipe_of(trained, updates * (TIMES[rung] if budget == "minutes" else 1), **changes)
    path = path.with_name(f"{budget}-{trained}-{seed}.json")
    run, epochs = train_beside(path, hp, mnist(), seed, clock=time.process_time)
    gan = load_model(run)
    best = gan.averaged_generator() if gan.averages and rung == trained else gan.generator
    found = {"updates": int(gan.updates.numpy()), "minutes": epochs.spent() / 60}
    images = sample(best, n, SEED)
    return found | score_of(images, reference(n)) | {"second": second(images)["frechet"]}


def gains(above: dict, below: dict, key: str):
    "The logs' differences of a distance, a seed that both have."
    one, other = ({"seeds": each["seeds"], "frechet": each[key]} for each in (above, below))
    return differences(one, other, math.nan)


def steps(rungs: dict) -> list[dict]:
    "What each step brings, from a rung to the next or from the last to an arm beside it, of those with two seeds or more."
    from scipy import stats

    found = []
    for budget in ("updates", "minutes"):
        at = {name: rungs.get((budget if name in TIMES else "updates", name)) for name in ARMS}
        pairs = [pair for pair in PAIRS if budget == "updates" or pair[0] in TIMES]
        values = {(a, b): [gains(at[b], at[a], key) for key in RULERS] for a, b in pairs if at[a] and at[b]}
        values = {pair: both for pair, both in values.items() if len(both[0]) > 1}
        p_values = holm([stats.ttest_1samp(first, 0).pvalue for first, _ in values.values()])
        for ((below, name), (first, other)), p in zip(values.items(), p_values, strict=True):
            step = {"budget": budget, "below": below, "name": name, "seeds": len(first), "p": float(p)}
            found.append(step | interval(first) | {"second": interval(other)})
    return found


def pack(runs: dict, how: dict) -> dict:
    "The floor, the seeds of each rung and budget as columns, and what each step brings."
    rungs = {}
    for cell, each in by_cell(runs).items():
        budget, name = cell.split("/")
        columns = {key: [run[key] for run in each.values()] for key in COLUMNS}
        rungs[budget, name] = {"name": name, "budget": budget, "seeds": list(each)} | columns
    first = {key: reference(how["n"]).real[key] for key in SCORES}
    floor = first | {"second": second_floor(how["n"])["frechet"]}
    return {"floor": floor, "rungs": list(rungs.values()), "steps": steps(rungs)}


def unpack(kept: dict) -> dict:
    "The columns as runs."
    return {
        (f"{rung['budget']}/{rung['name']}", seed): {key: rung[key][i] for key in COLUMNS}
        for rung in kept["rungs"]
        for i, seed in enumerate(rung["seeds"])
    }


CELLS = {f"updates/{name}": range(5) for name in ARMS} | {f"minutes/{name}": range(5) for name in TIMES}
STUDY = Study("ladder", "ladder", do, CELLS, {"n": 10_000, "updates": 2_200}, pack, unpack, ABOUT, block=6)
