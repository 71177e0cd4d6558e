"""Time updates in every way that a race names, side by side, and keep what came of it in one file a machine.

Each contender lives in processes of its own, on cores of its own where the race says so. They take turns, some updates
each a round, so that a drift of the machine hits all alike, and in another order each round. The first turn of each
(tracing, compiling) is not counted; a contender that dies leaves the race. Of each the most memory is kept, too.
"""

import argparse
import json
import multiprocessing
import os
import socket
import sys
import time
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.contenders import LIMIT, ON, RACES
from learning_gan.core.files import write_json
from learning_gan.trials.studies import provenance

ROOT = Path(__file__).resolve().parent.parent
SPAWN = multiprocessing.get_context("spawn")


def enter(turns_of, environment, cores):
    "The beginning of a contender's process."
    os.environ.update(environment)
    if cores:
        os.sched_setaffinity(0, cores)
        threadpool_limits(len(cores))
    globals()["TURNS"] = turns_of()


def turn():
    "Do the next turn of this process's contender: seconds an update, and the most memory up to now in MiB."
    start = time.perf_counter()
    updates = next(TURNS)  # noqa: F821 (of `enter`)
    seconds = (time.perf_counter() - start) / updates
    return seconds, most_memory()


def most_memory():
    "The most memory that this process has held, in MiB; NaN where the system does not say."
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return float("nan")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def surroundings(counts):
    "The environment and the cores of processes that share an update, each on so many cores of its own."
    own = iter(sorted(os.sched_getaffinity(0)))
    sockets = [socket.create_server(("localhost", 0)) for _ in counts]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    for i, n in enumerate(counts):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
        environment = {"TF_CONFIG": json.dumps(task), "TF_NUM_INTRAOP_THREADS": str(n)}
        yield environment, [next(own) for _ in range(n)]


def enrolled(turns_of, counts=()):
    "The processes of a contender, each a pool of one."
    places = list(surroundings(counts)) or [({}, [])]
    return [ProcessPoolExecutor(1, SPAWN, enter, (turns_of, *place)) for place in places]


def take_turn(name, processes):
    "Have a turn done: the slowest process's seconds an update and memory; None, and a line, where one has failed."
    doing = [process.submit(turn) for process in processes]
    done, _ = wait(doing, return_when=FIRST_EXCEPTION)
    try:
        return max(each.result() for each in done)
    except Exception as error:
        return print(f"left out: {name} ({error})", flush=True)


def run_race(race, contenders, rounds):
    "Milliseconds an update by round, and the most MiB, of each contender that comes through."
    turns, order = {name: [] for name in contenders}, np.random.default_rng(0)
    try:
        for round_ in range(rounds + 1):
            for name in order.permutation(list(turns)).tolist():
                turns[name].append(take_turn(name, contenders[name]))
                if turns[name][-1] is None:
                    del turns[name]
            print(f"{race}: round {round_} of {rounds}", flush=True)
    finally:
        for process in multiprocessing.active_children():
            process.kill()
    times = {name: [seconds * 1e3 for seconds, _ in some[1:]] for name, some in turns.items()}
    return times, {name: round(some[-1][1]) for name, some in turns.items()}


def table(times):
    "Median, range and ratios as a Markdown table, fastest first."
    median = {name: float(np.median(ms)) for name, ms in times.items()}
    ours = next((ms for name, ms in median.items() if name.startswith("ours")), np.nan)
    lines = ["| | ms an update | min to max | times ours | share of the limit |", "|---|---|---|---|---|"]
    for name in sorted(times, key=median.get):
        spread = f"{min(times[name]):.2f} to {max(times[name]):.2f}"
        ratios = [median[name] / ours, median.get(LIMIT, np.nan) / median[name]]
        lines.append(f"| {name} | {median[name]:.2f} | {spread} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return "\n".join(lines)


def keep(path, race, times, memory=None):
    "Put the times of a race into the file of this machine; leaves with a message where it is another machine's."
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    about = provenance(command=f"make bench NAME='{race}'", load=round(os.getloadavg()[0], 1))
    for name, other in kept.items():
        if name != race and other["provenance"]["machine"] != about["machine"]:
            other_machine = f"{path} has times of another machine ({name})"
            sys.exit(f"{other_machine}: name another file with --out, or remove it")
    kept[race] = {"provenance": about, "ms_per_update": times, "mib": memory or {}}
    write_json(path, kept, indent=1)


def main():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("race", help=f"the races whose names begin so; of {', '.join(RACES)}")
    parser.add_argument("--rounds", type=int, help="counted turns of each contender (7, or 3 of a series)")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results" / "speed.json")
    args = parser.parse_args()
    if not (races := [race for race in RACES if race.startswith(args.race)]):
        parser.error(f"no race begins with {args.race!r}")
    if len(races) == len(RACES):
        args.out.unlink(missing_ok=True)  # all of them make a new file
    for race in races:
        contenders = {name: enrolled(how, ON.get(name, ())) for name, how in RACES[race].items()}
        start, rounds = time.perf_counter(), args.rounds or (3 if race.startswith("scaling") else 7)
        times, memory = run_race(race, contenders, rounds)
        print(f"{race}\n{table(times)}\n{time.perf_counter() - start:.0f} s", flush=True)
        keep(args.out, race, times, memory)


if __name__ == "__main__":
    from benchmarks.__main__ import main as start  # by a name under which other processes find it, too

    start()
