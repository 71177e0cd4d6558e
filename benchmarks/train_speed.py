"""Time an epoch of the post's GAN in every way of contenders.py, side by side: `make bench`, about ten minutes.

Each contender lives in a process of its own. They take turns, an epoch each a round, so that a drift of the machine
hits all alike, and in another order each round, so that none is always measured after the same one. The first
epoch of each (tracing, compiling) is not counted. Prints a table and writes nbs/results/train_speed.json and .png, which
chapter 17 shows.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from contenders import CONTENDERS, UPDATES
from provenance import provenance

OURS, LIMIT = next(iter(CONTENDERS)), list(CONTENDERS)[-1]
RESULTS = Path(__file__).parent.parent / "nbs" / "results"


def work(name):
    "The contender's process: an epoch for each line on standard input, its seconds on standard output."
    from learning_gan.data import load_mnist

    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    images = load_mnist().train.images
    images = images[np.arange(UPDATES * 100) % len(images)]
    epochs = CONTENDERS[name](images)
    for _ in sys.stdin:
        start = time.perf_counter()
        next(epochs)
        print(time.perf_counter() - start, file=reply, flush=True)


class Worker:
    "A contender in a process of its own."

    def __init__(self, name):
        command = [sys.executable, __file__, "--work", name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.name, self.process, self.seconds = name, subprocess.Popen(command, text=True, **pipes), []

    def epoch(self):
        "Have one epoch done; its seconds, or None when the contender has failed."
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
            return float(self.process.stdout.readline())
        except (BrokenPipeError, ValueError):
            return None

    def why(self):
        "The last line that a failed contender said."
        self.process.kill()
        return (self.process.stderr.read().strip().splitlines() or ["no message"])[-1]


def race(names, rounds):
    "Milliseconds an update of each contender, by round; those that fail are left out, with a line that says so."
    workers = []
    for worker in map(Worker, names):
        first = worker.epoch()
        if first is None:
            print(f"left out: {worker.name} ({worker.why()})")
        else:
            print(f"ready: {worker.name}, first epoch {first:.1f} s", flush=True)
            workers.append(worker)
    order = np.random.default_rng(0)
    for _ in range(rounds):
        for i in order.permutation(len(workers)):
            workers[i].seconds.append(workers[i].epoch())
    for worker in workers:
        worker.process.kill()
    return {worker.name: [s / UPDATES * 1e3 for s in worker.seconds] for worker in workers}


def table(times):
    "Median, range and ratios as a Markdown table, fastest first."
    median = {name: float(np.median(ms)) for name, ms in times.items()}
    lines = ["| | ms an update | min to max | times ours | share of the limit |", "|---|---|---|---|---|"]
    for name in sorted(times, key=median.get):
        spread = f"{min(times[name]):.2f} to {max(times[name]):.2f}"
        ratio, share = median[name] / median[OURS], median[LIMIT] / median[name]
        lines.append(f"| {name} | {median[name]:.2f} | {spread} | {ratio:.2f} | {share:.2f} |")
    return "\n".join(lines)


def picture(times, path):
    "A bar for each contender with the range of its rounds, ours in the generator's colour."
    import matplotlib.pyplot as plt

    from learning_gan.style import COLORS, use_style

    use_style()
    names = sorted(times, key=lambda name: np.median(times[name]), reverse=True)
    fig, ax = plt.subplots(figsize=(6.4, 0.36 * len(names) + 0.7))
    colors = [COLORS["generator"] if name == OURS else COLORS["neutral"] for name in names]
    middle = [np.median(times[name]) for name in names]
    ax.barh(names, middle, color=colors, alpha=0.6)
    ax.hlines(
        range(len(names)),
        [min(times[n]) for n in names],
        [max(times[n]) for n in names],
        color=colors,
    )
    for y, name in enumerate(names):
        ax.text(max(times[name]), y, f"  {middle[y]:.2f}", va="center")
    ax.set(xlabel="ms an update (lower is faster)", xlim=(0, 1.15 * max(max(times[n]) for n in names)))
    fig.savefig(path, dpi=200, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="counted epochs of each contender")
    parser.add_argument(
        "--only", nargs="*", choices=list(CONTENDERS), help="these contenders, with ours and the limit"
    )
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return work(arguments.work)
    names = [n for n in CONTENDERS if not arguments.only or n in (OURS, LIMIT, *arguments.only)]
    times = race(names, arguments.rounds)
    print(table(times))
    if not arguments.only:
        RESULTS.mkdir(exist_ok=True)
        result = {"provenance": provenance("make bench"), "ms_per_update": times}
        (RESULTS / "train_speed.json").write_text(json.dumps(result, indent=1) + "\n")
        picture(times, RESULTS / "train_speed.png")


if __name__ == "__main__":
    main()
