"""The named recipes, seed by seed, with their last weights and with the average: nbs/results/recipes.json (chapter 30).

The post's own recipe is in the study `scores`.
"""

import time
from dataclasses import asdict

from learning_gan.measure.measures import agreement
from learning_gan.measure.scoring import MEASURES
from learning_gan.parts.minibatches import labels_in_turn
from learning_gan.parts.recipes import recipe
from learning_gan.run.sampling import load_model, sample
from learning_gan.run.training import train
from learning_gan.trials.studies import Study, interval
from studies import ABOUT, SEED, mnist, reference, without

CELLS = {"steady": range(20), "tuned": range(20), "dcgan": range(5), "digits": range(5)}


def do(path, cell: str, seed: int, n: int, **changes) -> dict:
    "Train a recipe, and score it at the end."
    run, start = path.with_suffix(""), time.monotonic()
    train(recipe(cell, **changes), mnist(), run, seed, verbose=False)
    score, gan = {"seconds": time.monotonic() - start}, load_model(run)
    for kind, generator in (("generated", gan.generator), ("averaged", gan.averaged_generator())):
        images = sample(generator, n, SEED)
        score[kind] = reference(n).measure(images)
        if gan.classes:
            score[kind]["agreement"] = agreement(images, labels_in_turn(n, gan.kinds)).tolist()
    return score


def pack(runs: dict, how: dict) -> dict:
    "A recipe, its score for each seed, and the means."
    recipes, changes = {}, without(how, "n")
    for (cell, seed), run in runs.items():
        entry = {"recipe": asdict(recipe(cell, **changes)), "seeds": [], "means": {}, "runs": []}
        recipes.setdefault(cell, entry)["runs"].append({"seed": seed} | run)
    for entry in recipes.values():
        entry["seeds"] = [run["seed"] for run in entry["runs"]]
        for kind in ("generated", "averaged") if len(entry["runs"]) > 1 else ():
            scores = [run[kind] for run in entry["runs"]]
            entry["means"][kind] = {key: interval([score[key] for score in scores]) for key in MEASURES}
    return {"real": reference(how["n"]).real, "recipes": recipes}


def unpack(kept: dict) -> dict:
    "The runs of recipes that have not changed since."
    same = {
        name: asdict(recipe(name)).items() >= without(one["recipe"], "epochs").items()
        for name, one in kept["recipes"].items()
    }
    return {
        (name, run["seed"]): without(run, "seed")
        for name, one in kept["recipes"].items()
        if same[name]
        for run in one["runs"]
    }


STUDY = Study("recipes", "recipes", do, CELLS, {"n": 10_000}, pack, unpack, ABOUT)
