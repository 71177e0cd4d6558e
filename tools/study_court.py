"""Hear every tip of the court with several seeds, and write nbs/results/court.json.

Hearings go to runs/court and can be interrupted: the same command goes on where it stopped. What the result file holds
already is not heard again, so the whole can be done in parts, and on one machine after another.
"""

import argparse
import os
from pathlib import Path

from learning_gan.court import BENCHES, EPOCHS, SCORES, VARIANTS, hear_named
from learning_gan.data import load_mnist
from learning_gan.ruler import CLASSIFIER_SHA256
from learning_gan.scorecard import Reference
from learning_gan.studies import Job, earlier_study, is_done, provenance, run_jobs, save_study

ROOT = Path(__file__).resolve().parent.parent
A_JOB = 5  # seeds
SEEDS = {"post": range(10), "steady": range(10)}  # by bench; any other has
FEWER = range(5)
FRESH = {("steady", "as_is"): range(20), ("steady", "together"): range(10, 20)}  # to confirm what helped
COLUMNS = ("seeds", *SCORES, "seconds")
CHECK = {
    "name": "as_is",
    "bench": "steady",
    "seeds": [0],
    "n": 1_000,
    "epochs": 2,
}  # what a test can hear again


def jobs_of(seeds: dict, how: dict, ruler: dict, heard: dict) -> list[Job]:
    "What is still to be heard, by bench and variant, the first seeds of all before the next ones of any."
    return [
        Job(
            f"{bench}-{name}-{first}.json",
            hear_named,
            {"name": name, "bench": bench, "seeds": block} | how,
            ruler,
        )
        for first in range(0, max(each.stop for each in seeds.values()), A_JOB)
        for (bench, name), each in seeds.items()
        if (block := [seed for seed in range(first, first + A_JOB) if seed in each])
        if not set(block) <= set(heard.get((bench, name), {}).get("seeds", []))
    ]


def by_seed(heard: dict) -> dict:
    "The columns as rows."
    return {row[0]: row for row in zip(*(heard[column] for column in COLUMNS), strict=True)}


def merged(entry: dict | None, found: dict) -> dict:
    "What was heard before and what is new, in the order of the seeds."
    rows = (by_seed(entry) if entry else {}) | by_seed(found)
    columns = zip(*(rows[seed] for seed in sorted(rows)), strict=True)
    return {name: list(values) for name, values in zip(COLUMNS, columns, strict=True)}


def rounded(entry: dict) -> dict:
    "With as many digits as anybody reads."
    return {
        name: [None if value is None else float(f"{value:.5g}") for value in entry[name]] for name in SCORES
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS, help="which ones")
    parser.add_argument("--benches", nargs="+", default=list(BENCHES), choices=BENCHES, help="where")
    parser.add_argument(
        "--seeds", type=int, help="how many, from 0 on; 10, and 5 for dcgan and after 100 epochs"
    )
    parser.add_argument("--epochs", type=int, help="fewer, to try it out")
    parser.add_argument("--so-far", action="store_true", help="train nothing: write what is done")
    parser.add_argument("--n", type=int, default=10_000, help="images of a score")
    parser.add_argument("--workers", type=int, help="processes at a time; one a core where missing")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "court")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results" / "court.json")
    args = parser.parse_args()

    ruler = {"classifier_sha256": CLASSIFIER_SHA256}
    how = ruler | {"n": args.n, "epochs": args.epochs or EPOCHS}
    earlier = earlier_study(args.out, **how)
    heard = {(entry["bench"], entry["name"]): entry for entry in earlier.get("variants", [])}
    pairs = [(b, name) for b in args.benches for name in args.variants if b in VARIANTS[name].benches]
    told = {"n": args.n} | ({"epochs": args.epochs} if args.epochs else {})
    seeds = {
        pair: range(args.seeds) if args.seeds else FRESH.get(pair, SEEDS.get(pair[0], FEWER))
        for pair in pairs
    }
    jobs = jobs_of(seeds, told, ruler, heard)
    if args.so_far:
        jobs = [job for job in jobs if is_done(job, args.runs)]
    if not jobs:
        return print("nothing new was heard")
    for job, found in zip(jobs, run_jobs(jobs, args.runs, args.workers), strict=True):
        key = job.arguments["bench"], job.arguments["name"]
        heard[key] = {"bench": key[0], "name": key[1]} | merged(heard.get(key), found)

    data = load_mnist("mnist")
    reference = Reference(data, args.n, seed=0)
    ends = {name: {key: getattr(reference, name)[key] for key in SCORES} for name in ("real", "noise")}
    variants = [
        entry | {"tip": VARIANTS[entry["name"]].tip} | rounded(entry)
        for _, entry in sorted(heard.items(), key=lambda item: (item[0][0], list(VARIANTS).index(item[0][1])))
    ]
    made_from = {"data": {"name": "mnist", "sha256": data.sha256}, "threads": 1}
    about = provenance("make court", earlier, **made_from, **how)
    save_study(args.out, about, **ends, variants=variants, check=CHECK | {"found": hear_named(**CHECK)})
    print(f"wrote court.json into {os.path.relpath(args.out.parent)}")


if __name__ == "__main__":
    main()
