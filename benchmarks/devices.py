"""Time an update on one core, on two, and shared by two processes of a core each; write nbs/results/devices.json.

`make bench-devices`, about ten minutes, on Linux. Chapter 36 reads what it writes. The arrangements take turns, so a
slow moment of the machine costs all of them the same.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from learning_gan.studies import provenance, save_study

RESULTS = Path(__file__).parent.parent / "nbs" / "results"
ARRANGEMENTS = {
    "one process, one core": [1],
    "one process, two cores": [2],
    "two processes, a core each": [1, 1],
}  # cores of each process
UPDATES = {("post", 100): 200, ("post", 1_000): 40, ("post", 10_000): 5, ("dcgan", 100): 10}
# by recipe and batch size, in a timed epoch
EPOCHS = 3  # timed, after one that compiles


def measure(name: str, batch_size: int) -> list[float]:
    "Milliseconds an update of each timed epoch."
    from learning_gan.devices import choose_strategy

    strategy = choose_strategy()
    from learning_gan.backend import keras
    from learning_gan.data import load_mnist
    from learning_gan.recipe import recipe
    from learning_gan.training import Minibatches, build_gan, fit_minibatches

    ends, hp = [], recipe(name, epochs=1 + EPOCHS, batch_size=batch_size)

    class Clock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            float(self.model.d_loss_tracker.result())  # all work is done
            ends.append(time.perf_counter())

    with strategy.scope():
        gan = build_gan(hp, 0)
    minibatches = Minibatches(load_mnist("embedded").train.images, hp, 0)
    minibatches.per_epoch = size = UPDATES[name, batch_size]
    fit_minibatches(gan, minibatches, callbacks=[Clock()], block_size=size)
    return (np.diff(ends) / size * 1e3).tolist()


def free_ports(n: int) -> list[int]:
    "Ports that nobody listens to."
    sockets = [socket.create_server(("localhost", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def in_turn(name: str, batch_size: int, cores: list[int]) -> list[float]:
    "What the first of some processes measures, each on its own cores."
    own = iter(sorted(os.sched_getaffinity(0)))
    sets = [[next(own) for _ in range(n)] for n in cores]
    addresses = [f"localhost:{port}" for port in free_ports(len(cores))]
    started = []
    for i, cpus in enumerate(sets):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
        env = os.environ | {"TF_CONFIG": json.dumps(task), "TF_NUM_INTRAOP_THREADS": str(len(cpus))}
        pinned = ["taskset", "--cpu-list", ",".join(map(str, cpus))]
        command = [*pinned, sys.executable, __file__, "--one", name, str(batch_size)]
        started.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True))
    said = [process.communicate()[0] for process in started]
    return json.loads(said[0].splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2, help="how often each arrangement has its turn")
    parser.add_argument("--one", nargs=2, help="a recipe and a batch size, measured in this process alone")
    parser.add_argument("--out", type=Path, default=RESULTS / "devices.json")
    args = parser.parse_args()
    if args.one:
        return print(json.dumps(measure(args.one[0], int(args.one[1]))))
    times = {key: {arrangement: [] for arrangement in ARRANGEMENTS} for key in UPDATES}
    for _ in range(args.rounds):
        for key in UPDATES:
            for arrangement, cores in ARRANGEMENTS.items():
                times[key][arrangement] += in_turn(*key, cores)
                print(*key, f"{arrangement}: {np.median(times[key][arrangement]):.2f} ms an update")
    rows = [{"recipe": key[0], "batch_size": key[1], "ms_per_update": each} for key, each in times.items()]
    save_study(args.out, provenance("make bench-devices"), rows=rows)


if __name__ == "__main__":
    main()
