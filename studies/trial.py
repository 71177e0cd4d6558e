"""Every tip on its baselines, seed by seed: nbs/results/court.json, for chapter 32."""

from learning_gan.trials.changes import BASELINES, CHANGES, SCORES, try_change
from learning_gan.trials.studies import Study
from studies import ABOUT, by_cell, reference

TEN = ("post", "steady", "post_100", "steady_100")  # seeds; any other baseline has five
FRESH = {"steady/as_is": range(20), "steady/together": range(10, 20)}  # to confirm what helped
PAIRS = [(b, name) for b in sorted(BASELINES) for name, change in CHANGES.items() if b in change.baselines]
CELLS = {f"{b}/{name}": range(10 if b in TEN else 5) for b, name in PAIRS} | FRESH
COLUMNS = (*SCORES, "seconds", "made")
CHECK = {"name": "as_is", "bench": "steady", "seeds": [0], "n": 1_000, "epochs": 2}  # can be done again


def do(path, cell: str, seed: int, n: int, **changes) -> dict:
    "Train with a change, and score it; where a training run diverged there are no scores."
    baseline, name = cell.split("/")
    tried = try_change(CHANGES[name], reference(n), baseline, [seed], **changes)
    return {key: tried[key][0] for key in (*SCORES, "seconds")}


def columns(cell: str, runs: dict) -> dict:
    "The runs of a cell as columns, with as many digits as anybody reads."
    baseline, name = cell.split("/")
    entry = {"bench": baseline, "name": name, "tip": CHANGES[name].tip, "family": CHANGES[name].family}
    entry["seeds"] = list(runs)
    entry |= {key: [run.get(key) for run in runs.values()] for key in COLUMNS}
    short = {key: [None if x is None else float(f"{x:.5g}") for x in entry[key]] for key in SCORES}
    return entry | short


def pack(runs: dict, how: dict) -> dict:
    "Real images and noise, each change with its columns, and a short run to be compared with."
    whole, small = reference(how["n"]), reference(CHECK["n"])
    ends = {name: {key: getattr(whole, name)[key] for key in SCORES} for name in ("real", "noise")}
    again = try_change(CHANGES[CHECK["name"]], small, CHECK["bench"], CHECK["seeds"], epochs=CHECK["epochs"])
    variants = [columns(*item) for item in by_cell(runs).items()]
    return ends | {"variants": variants, "check": CHECK | {"found": again}}


def unpack(kept: dict) -> dict:
    "The columns as runs."
    return {
        (f"{entry['bench']}/{entry['name']}", seed): {key: entry[key][i] for key in COLUMNS if key in entry}
        for entry in kept["variants"]
        for i, seed in enumerate(entry["seeds"])
    }


STUDY = Study("trial", "court", do, CELLS, {"n": 10_000}, pack, unpack, ABOUT, block=5)
