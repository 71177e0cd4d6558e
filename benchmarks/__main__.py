"""Time an epoch in every way that a race names, side by side, and keep what came of it in one file a machine.

Each contender lives in processes of its own, on cores of its own where the race says so. They take turns, an epoch
each a round, so that a drift of the machine hits all alike, and in another order each round. The first epoch of each
(tracing, compiling) is not counted; a contender that dies leaves the race.
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

from benchmarks.contenders import CORES, LIMIT, OURS, RACES
from learning_gan.core.files import write_json
from learning_gan.trials.studies import provenance

ROOT = Path(__file__).resolve().parent.parent
SPAWN = multiprocessing.get_context("spawn")


def enter(epochs_of, environment, cores):
    "The beginning of a contender's process."
    os.environ.update(environment)
    if cores:
        os.sched_setaffinity(0, cores)
    globals()["EPOCHS"] = epochs_of()


def epoch():
    "Do the next epoch of this process's contender; its seconds an update."
    start = time.perf_counter()
    updates = next(EPOCHS)  # noqa: F821 (of `enter`)
    return (time.perf_counter() - start) / updates


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


def enrolled(epochs_of, counts=()):
    "The processes of a contender, each a pool of one."
    places = list(surroundings(counts)) or [({}, [])]
    return [ProcessPoolExecutor(1, SPAWN, enter, (epochs_of, *place)) for place in places]


def take_turn(name, processes):
    "Have an epoch done; its seconds an update, or None and a line that says why the contender has failed."
    doing = [process.submit(epoch) for process in processes]
    done, _ = wait(doing, return_when=FIRST_EXCEPTION)
    try:
        return max(each.result() for each in done)
    except Exception as error:
        return print(f"left out: {name} ({error})", flush=True)


def run_race(race, contenders, rounds):
    "Milliseconds an update of each contender, by round, of those that come through."
    times, order = {name: [] for name in contenders}, np.random.default_rng(0)
    try:
        for round_ in range(rounds + 1):
            for name in order.permutation(list(times)).tolist():
                seconds = take_turn(name, contenders[name])
                times[name].append(seconds)
                if seconds is None:
                    del times[name]
            print(f"{race}: round {round_} of {rounds}", flush=True)
    finally:
        for process in multiprocessing.active_children():
            process.kill()
    return {name: [s * 1e3 for s in seconds[1:]] for name, seconds in times.items()}


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
    write_json(path, kept, indent=1)


def main():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("race", help=f"the races whose names begin so; of {', '.join(RACES)}")
    parser.add_argument("--rounds", type=int, default=7, help="counted epochs of each contender")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results" / "speed.json")
    args = parser.parse_args()
    if not (races := [race for race in RACES if race.startswith(args.race)]):
        parser.error(f"no race begins with {args.race!r}")
    for race in races:
        contenders = {name: enrolled(how, CORES.get(name, ())) for name, how in RACES[race].items()}
        times = run_race(race, contenders, args.rounds)
        print(f"{race}\n{table(times)}")
        keep(args.out, race, times)


if __name__ == "__main__":
    main()
