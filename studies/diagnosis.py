"""The diagnosis on seeds that no limit was chosen by, on other losses, and what the first thing to try brings.

nbs/results/diagnosis.json, for chapter 21. A cell is `failure/NAME`, `healthy/NAME`, `loss/NAME`, or `try/NAME/WORDS`
for a failure with one more thing changed; each run leaves its record and, unless it diverged, its scores.
"""

from dataclasses import replace

from learning_gan.run.sampling import sample
from learning_gan.trials.changes import FAILURES, HEALTHY, load_best, score_of, train_change
from learning_gan.trials.studies import Study
from studies import ABOUT, SEED, mnist, reference, without
from studies.failures import record_of

FEW, MORE = range(15, 18), range(15, 20)  # failures.json has 0 to 14


def with_(failure, images=None, **changes):
    "A failure with one more thing changed."
    return replace(FAILURES[failure], changes=FAILURES[failure].changes | changes, images=images)


STEADY = HEALTHY["steady"]
OTHER = {loss: {"loss": loss} for loss in ("saturating", "least_squares", "hinge")}
OTHER["wgan_gp"] = {"loss": "wgan_gp", "gamma": 10.0, "beta_1": 0.0}
CHANGES = {f"failure/{name}": change for name, change in FAILURES.items()}
CHANGES["healthy/steady"] = STEADY
CHANGES |= {f"loss/{loss}": replace(STEADY, changes=STEADY.changes | told) for loss, told in OTHER.items()}
CHANGES |= {
    "try/d_wins/G's rate times 10": with_("d_wins", g_rate=0.05),
    "try/d_wins/D's rate by 10": with_("d_wins", d_rate=0.1),
    "try/d_dead/D's rate by 50": with_("d_dead", d_rate=1.0),
    "try/d_dead/alpha 0.01": with_("d_dead", alpha=0.01),
    "try/collapse/G's rate by 10": with_("collapse", g_rate=1.0),
    "try/partial_collapse/z of 10": with_("partial_collapse", z_size=10),
    "try/diverged/rate by 10": with_("diverged", learning_rate=0.002),
    "try/diverged/from logits": with_("diverged", loss="non_saturating"),
    "try/memorised/1,000 images": with_("memorised", images=lambda images: images[:1_000]),
}
OFTEN = {f"failure/{name}" for name in ("d_wins", "collapse", "partial_collapse", "cycling", "memorised")}
OFTEN |= {"healthy/steady"}


def do(path, cell: str, seed: int, n: int, **changes) -> dict:
    "The record of a run, and the scores of what came of it."
    run, scores = path.with_suffix(""), None
    if train_change(CHANGES[cell], mnist(), run, seed, **changes):
        scores = score_of(sample(load_best(run), n, SEED), reference(n))
    return {"record": record_of(run), "scores": scores}


def pack(runs: dict, how: dict) -> dict:
    "The runs, with what should be found."
    told = {cell: {"cell": cell, "finding": change.finding} for cell, change in CHANGES.items()}
    return {"runs": [told[cell] | {"seed": seed} | run for (cell, seed), run in runs.items()]}


def unpack(kept: dict) -> dict:
    "The runs again."
    return {(run["cell"], run["seed"]): without(run, "cell", "seed", "finding") for run in kept["runs"]}


CELLS = {cell: MORE if cell in OFTEN else FEW for cell in CHANGES}
STUDY = Study("diagnosis", "diagnosis", do, CELLS, {"n": 2_000}, pack, unpack, ABOUT, block=5)
