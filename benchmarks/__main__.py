"""Time an epoch in every way that a race names, side by side, and keep what came of it in one file a machine.

Each contender lives in processes of its own, on cores of its own where the race says so. They take turns, an epoch
each a round, so that a drift of the machine hits all alike, and in another order each round. The first epoch of each
(tracing, compiling) is not counted; a contender that dies leaves the race.
"""

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.contenders import CORES, LIMIT, OURS, RACES
from learning_gan.trials.studies import provenance, write_json

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "benchmarks"]


def work(race, name):
    "The contender's process: an epoch for each line on standard input, seconds an update on standard output."
    if pinned := os.environ.get("PINNED"):
        os.sched_setaffinity(0, json.loads(pinned))
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    epochs = RACES[race][name]()
    for _ in sys.stdin:
        start = time.perf_counter()
        updates = next(epochs)
        print((time.perf_counter() - start) / updates, file=reply, flush=True)


def surroundings(cores):
    "The environments of processes that share an update, each on so many cores of its own."
    own = iter(sorted(os.sched_getaffinity(0)))
    sockets = [socket.create_server(("localhost", 0)) for _ in cores]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    for i, n in enumerate(cores):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
        pinned = json.dumps([next(own) for _ in range(n)])
        yield {"TF_CONFIG": json.dumps(task), "TF_NUM_INTRAOP_THREADS": str(n), "PINNED": pinned}


class Worker:
    "A contender in one process or more; what they say goes to a file, which cannot fill up as a pipe does."

    def __init__(self, race, name, cores=()):
        self.name, self.seconds, self.said = name, [], tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (lives as long as the worker)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.said, "text": True}
        each = list(surroundings(cores)) or [{}]
        command = [*COMMAND, race, "--work", name]
        self.processes = [subprocess.Popen(command, env=os.environ | env, cwd=ROOT, **pipes) for env in each]

    def answer(self):
        "The next line of the first process's answers, empty when one of them has died."
        while not select.select([self.processes[0].stdout], [], [], 1)[0]:
            if any(process.poll() is not None for process in self.processes):
                return ""
        return self.processes[0].stdout.readline()

    def epoch(self):
        "Have one epoch done; its seconds an update, or None when the contender has failed."
        try:
            for process in self.processes:
                process.stdin.write("go\n")
                process.stdin.flush()
            return float(self.answer())
        except (BrokenPipeError, ValueError):
            return None

    def end(self):
        "Kill it; the last line that it said."
        for process in self.processes:
            process.kill()
            process.wait()
        self.said.seek(0)
        return (self.said.read().strip().splitlines() or ["no message"])[-1]


def take_turn(worker, racing):
    "Have an epoch done and counted; a contender that fails leaves the race, with a line that says so."
    seconds = worker.epoch()
    if seconds is None:
        print(f"left out: {worker.name} ({worker.end()})", flush=True)
        racing.remove(worker)
    else:
        worker.seconds.append(seconds)


def run_race(race, workers, rounds):
    "Milliseconds an update of each contender, by round, of those that come through."
    racing, order = list(workers), np.random.default_rng(0)
    try:
        for round_ in range(rounds + 1):
            for worker in order.permutation(racing).tolist():
                take_turn(worker, racing)
            print(f"{race}: round {round_} of {rounds}", flush=True)
    finally:
        for worker in racing:
            worker.end()
    return {w.name: [s * 1e3 for s in w.seconds[1:]] for w in racing}


def table(times):
    "Median, range and ratios as a Markdown table, fastest first."
    median = {name: float(np.median(ms)) for name, ms in times.items()}
    lines = ["| | ms an update | min to max | times ours | share of the limit |", "|---|---|---|---|---|"]
    for name in sorted(times, key=median.get):
        spread = f"{min(times[name]):.2f} to {max(times[name]):.2f}"
        ratios = [median[name] / median.get(OURS, np.nan), median.get(LIMIT, np.nan) / median[name]]
        lines.append(f"| {name} | {median[name]:.2f} | {spread} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return "\n".join(lines)


def keep(path, race, times):
    "Put the times of a race into the file of this machine; leaves with a message where it is another machine's."
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    about = provenance(command=f"make bench NAME='{race}'", load=round(os.getloadavg()[0], 1))
    for name, other in kept.items():
        if name != race and other["provenance"]["machine"] != about["machine"]:
            other_machine = f"{path} has times of another machine ({name})"
            sys.exit(f"{other_machine}: name another file with --out, or remove it")
    kept[race] = {"provenance": about, "ms_per_update": times}
    write_json(path, kept)


def main():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("race", help=f"the races whose names begin so; of {', '.join(RACES)}")
    parser.add_argument("--rounds", type=int, default=7, help="counted epochs of each contender")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results" / "speed.json")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        return work(args.race, args.work)
    if not (races := [race for race in RACES if race.startswith(args.race)]):
        parser.error(f"no race begins with {args.race!r}")
    for race in races:
        times = run_race(race, [Worker(race, name, CORES.get(name, ())) for name in RACES[race]], args.rounds)
        print(f"{race}\n{table(times)}")
        keep(args.out, race, times)


if __name__ == "__main__":
    main()
