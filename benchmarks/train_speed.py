"""Time an epoch of a GAN in every way that we know, side by side: `make bench`, about twenty minutes.

The race `post` has the contenders of contenders.py, the race `dcgan` those of contenders_dcgan.py.

Each contender lives in a process of its own. They take turns, an epoch each a round, so that a drift of the machine
hits all alike, and in another order each round, so that none is always measured after the same one. The first
epoch of each (tracing, compiling) is not counted; a contender that dies leaves the race. Prints a table and writes
nbs/results/train_speed.json and .png, which chapter 17 shows, or dcgan_speed.json and .png, for chapter 30.
"""

import argparse
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import contenders
import contenders_dcgan
import numpy as np
from contenders import BATCH, UPDATES
from limit import unhinder

from learning_gan.studies import provenance, save_study

RACES = {
    "post": contenders.CONTENDERS,
    "dcgan": contenders_dcgan.CONTENDERS,
}  # each with ours first, the limit last
FILES = {"post": "train_speed", "dcgan": "dcgan_speed"}
OURS, *_, LIMIT = RACES["post"]
RESULTS = Path(__file__).parent.parent / "nbs" / "results"


def work(race, name):
    "The contender's process: an epoch for each line on standard input, seconds an update on standard output."
    from learning_gan.data import load_mnist

    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    images = load_mnist().train.images
    images = images[np.arange(UPDATES * BATCH) % len(images)]
    epochs = RACES[race][name](images.reshape(-1, 784) if race == "post" else images)
    for _ in sys.stdin:
        start = time.perf_counter()
        updates = next(epochs) or UPDATES
        print((time.perf_counter() - start) / updates, file=reply, flush=True)


class Worker:
    "A contender in a process of its own; what it says goes to a file, which cannot fill up as a pipe does."

    def __init__(self, race, name):
        command = [sys.executable, __file__, "--race", race, "--work", name]
        self.name, self.seconds, self.said = name, [], tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (lives as long as the worker)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.said}
        self.process = subprocess.Popen(command, text=True, **pipes)

    def _answer(self):
        "The next line of its answers, empty when it has died."
        while not select.select([self.process.stdout], [], [], 1)[0]:
            if self.process.poll() is not None:
                return ""
        return self.process.stdout.readline()

    def epoch(self):
        "Have one epoch done; its seconds an update, or None when the contender has failed."
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
            return float(self._answer())
        except (BrokenPipeError, ValueError):
            return None

    def why(self):
        "The last line that a failed contender said."
        self.process.kill()
        self.process.wait()
        self.said.seek(0)
        return (self.said.read().strip().splitlines() or ["no message"])[-1]


def take_turn(worker, racing):
    "Have an epoch done and counted; a contender that fails leaves the race, with a line that says so."
    seconds = worker.epoch()
    if seconds is None:
        print(f"left out: {worker.name} ({worker.why()})", flush=True)
        racing.remove(worker)
    else:
        worker.seconds.append(seconds)


def run_race(race, names, rounds):
    "Milliseconds an update of each contender, by round, of those that come through."
    racing, order = [Worker(race, name) for name in names], np.random.default_rng(0)
    try:
        for round_ in range(rounds + 1):
            for worker in order.permutation(racing).tolist():
                take_turn(worker, racing)
            print(f"round {round_} of {rounds}", flush=True)
    finally:
        for worker in racing:
            worker.process.kill()
    return {w.name: [s * 1e3 for s in w.seconds[1:]] for w in racing}


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
    parser.add_argument("--race", default="post", choices=RACES, help="which networks (post)")
    known = [name for race in RACES.values() for name in race]
    parser.add_argument("--only", nargs="*", choices=known, help="these contenders, with ours and the limit")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return work(arguments.race, arguments.work)
    unhinder()
    names = [n for n in RACES[arguments.race] if not arguments.only or n in (OURS, LIMIT, *arguments.only)]
    times = run_race(arguments.race, names, arguments.rounds)
    about = provenance("make bench")
    machine = about["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores, kernel of the limit: {machine['kernel']}")
    print(table(times))
    if not arguments.only:
        save_study(RESULTS / f"{FILES[arguments.race]}.json", about, ms_per_update=times)
        picture(times, RESULTS / f"{FILES[arguments.race]}.png")


if __name__ == "__main__":
    main()
