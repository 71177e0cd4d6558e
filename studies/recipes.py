"""The named recipes, seed by seed, with their last weights and with the average: nbs/results/recipes.json (chapter 30).

The post's own recipe is in the study `scores`.
"""

from dataclasses import asdict

from learning_gan.measure.measures import agreement
from learning_gan.measure.scoring import MEASURES
from learning_gan.parts.minibatches import labels_in_turn
from learning_gan.parts.recipes import recipe
from learning_gan.run.sampling import load_model, sample
from learning_gan.trials.studies import Study, interval
from studies import ABOUT, SEED, by_cell, mnist, reference, train_beside, without

CELLS = {"steady": range(20), "tuned": range(20), "dcgan": range(5), "digits": range(5)}


def do(path, cell: str, seed: int, n: int, **changes) -> dict:
    "Train a recipe, and score it at the end."
    run, epochs = train_beside(path, recipe(cell, **changes), mnist(), seed)
    score, gan = {"seconds": epochs.spent()}, load_model(run)
    for kind, generator in (("generated", gan.generator), ("averaged", gan.averaged_generator())):
        images = sample(generator, n, SEED)
        score[kind] = reference(n).measure(images)
        if gan.classes:
            score[kind]["agreement"] = agreement(images, labels_in_turn(n, gan.kinds)).tolist()
    return score


def pack(runs: dict, how: dict) -> dict:
    "A recipe, its score for each seed, and the means."
    recipes = {}
    for cell, each in by_cell(runs).items():
        entry = {"recipe": asdict(recipe(cell, **without(how, "n"))), "seeds": list(each), "means": {}}
        recipes[cell] = entry | {"runs": [{"seed": seed} | run for seed, run in each.items()]}
        for kind in ("generated", "averaged") if len(each) > 1 else ():
            scores = [run[kind] for run in each.values()]
            entry["means"][kind] = {key: interval([score[key] for score in scores]) for key in MEASURES}
    return {"real": reference(how["n"]).real, "recipes": recipes}


def unpack(kept: dict) -> dict:
    "The runs of recipes that have not changed since."
    runs = {}
    for name, one in kept["recipes"].items():
        if asdict(recipe(name)).items() >= without(one["recipe"], "epochs").items():
            runs |= {(name, run["seed"]): without(run, "seed") for run in one["runs"]}
    return runs


STUDY = Study("recipes", "recipes", do, CELLS, {"n": 10_000}, pack, unpack, ABOUT)
