"""Train every exhibit of the museum and every healthy recipe with several seeds, and write nbs/results/museum.json and
museum.npz, which chapter 33 reads.

Records go to runs/museum and can be interrupted: the same command goes on where it stopped. The doctor's limits were
chosen by looking at the first seeds (`looked_at`); the chapter's matrix counts the others. What the result files hold
of other names stays there.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from learning_gan.data import load_mnist
from learning_gan.files import atomic_path
from learning_gan.museum import EXHIBITS, HEALTHY, exhibit_records, exhibit_shown
from learning_gan.ruler import CLASSIFIER_SHA256
from learning_gan.studies import Job, earlier_study, is_done, provenance, read_result, run_jobs, save_study

ROOT = Path(__file__).resolve().parent.parent
A_JOB = 5  # trainings
LOOKED_AT = 5  # seeds of an exhibit, 0 to 4
SEEDS = dict.fromkeys(EXHIBITS, 15) | {
    "d_dead": 10,  # two exhibits of one failure share its seeds
    "d_frozen": 10,
    "undertrained": 10,
    "undertrained_post": 10,
    "steady": 14,
    "steady_narrow": 10,
    "steady_wide": 10,
    "steady_sharp": 14,
    "steady_20": 8,
    "post": 8,
    "dcgan_small": 6,
    "digits_small": 6,
}
LOOKED_AT_HEALTHY = 3  # seeds of a healthy recipe


def record_jobs(names: list[str], most: int | None) -> list[Job]:
    "The trainings of all seeds, a few to a process; those of the exhibits come first."
    seeds = {name: list(range(min(SEEDS[name], most or SEEDS[name]))) for name in names}
    jobs = [
        Job(
            f"{name}-{first}.json", exhibit_records, {"name": name, "seeds": all_seeds[first : first + A_JOB]}
        )
        for name, all_seeds in seeds.items()
        for first in range(0, len(all_seeds), A_JOB)
    ]
    return sorted(jobs, key=lambda job: (job.arguments["name"] in HEALTHY, job.arguments["seeds"][0]))


def shown_jobs(names: list[str], seed: int, n: int) -> dict[str, Job]:
    "The training of each exhibit that is to be looked at, and of the right way beside them."
    how, ruler = {"seed": seed, "n": n}, {"classifier_sha256": CLASSIFIER_SHA256}
    return {name: Job(f"shown-{name}.npz", exhibit_shown, {"name": name, **how}, ruler) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = [*EXHIBITS, *HEALTHY]
    parser.add_argument("--names", nargs="+", default=every, choices=every, help="which ones")
    parser.add_argument("--seeds", type=int, help="at most so many of each")
    parser.add_argument("--shown", type=int, default=LOOKED_AT, help="the seed that is drawn and scored")
    parser.add_argument("--n", type=int, default=2_000, help="images of a score")
    parser.add_argument("--so-far", action="store_true", help="train nothing more for the matrix")
    parser.add_argument("--workers", type=int, help="processes at a time; one a core where missing")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "museum")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results")
    args = parser.parse_args()

    how = {"shown": args.shown, "n": args.n, "classifier_sha256": CLASSIFIER_SHA256, "threads": 1}
    how |= {"data": {"name": "mnist", "sha256": load_mnist("mnist").sha256}}
    earlier, npz = earlier_study(args.out / "museum.json", **how), args.out / "museum.npz"
    shown = shown_jobs([n for n in args.names if n in EXHIBITS or n == "steady"], args.shown, args.n)
    run_jobs([*shown.values()], args.runs, args.workers)
    jobs = record_jobs(args.names, args.seeds)
    if args.so_far:
        jobs = [job for job in jobs if is_done(job, args.runs)]
    records = earlier.get("records", {})
    for job, found in zip(jobs, run_jobs(jobs, args.runs, args.workers), strict=True):
        records.setdefault(job.arguments["name"], {}).update(found)

    arrays = {}
    if earlier and npz.exists():
        with np.load(npz) as file:
            arrays = dict(file)
    for name, job in shown.items():
        arrays |= {f"{name}/{key}": value for key, value in read_result(args.runs / job.name)[1].items()}
    with atomic_path(npz) as temporary:
        np.savez_compressed(temporary, **arrays)
    about = provenance("make museum", earlier, **how)
    looked_at = {name: LOOKED_AT if name in EXHIBITS else LOOKED_AT_HEALTHY for name in records}
    save_study(args.out / "museum.json", about, looked_at=looked_at, records=records)
    print(f"wrote museum.json and museum.npz into {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
