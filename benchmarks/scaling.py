"""How the time of an update grows with batch size, hidden width and epochs, and where start-up goes.

`make bench-scaling`, about four minutes. Prints what it measures and writes nbs/results/scaling.json and .png, which
chapter 17 shows.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from limit import flops, multiply, products, unhinder

from learning_gan.studies import provenance, save_study

RESULTS = Path(__file__).parent.parent / "nbs" / "results"
BATCHES = (10, 25, 50, 100, 200, 400, 800)
WIDTHS = (128, 256, 512, 1024, 2048, 4096)
BLOCK = 10


def seconds_per_call(calls, repeats=7):
    "The median seconds of each of some functions; they take turns, so that a slow moment of the machine hits all."
    times = {name: [] for name in calls}
    for counted in [False] + [True] * repeats:
        for name, (call, count) in calls.items():
            start = time.perf_counter()
            for _ in range(count if counted else 1):
                call()
            if counted:
                times[name].append((time.perf_counter() - start) / count)
    return {name: float(np.median(each)) for name, each in times.items()}


def update_and_limit(hp):
    "Milliseconds of one update by the compiled block, and of its matrix products alone."
    from learning_gan.backend import tf
    from learning_gan.inputs import latent_block
    from learning_gan.training import build_gan

    gan = build_gan(hp, seed=0)
    step = tf.function(gan.train_step, jit_compile=True)
    shape = (BLOCK, hp.batch_size, hp.input_size)
    block = {
        "images": tf.constant(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)),
        "z": latent_block(0, 0, BLOCK, hp.batch_size, hp.z_size),
    }
    pairs = products(hp.batch_size, hp.z_size, hp.g_hidden_size, hp.input_size)
    count = max(1, int(2e10 / flops(pairs) / BLOCK))  # a fraction of a second each
    seconds = seconds_per_call(
        {
            "ours": (lambda: step(block)["d_loss"].numpy(), count),
            "limit": (lambda: multiply(pairs), count * BLOCK),
        }
    )
    return {"ours": seconds["ours"] / BLOCK * 1e3, "limit": seconds["limit"] * 1e3}


def over_epochs(epochs=20, repeats=3):
    "Milliseconds an update in each epoch: the median over some runs."
    return np.median([one_run(epochs) for _ in range(repeats)], axis=0).tolist()


def one_run(epochs):
    "Milliseconds an update in each epoch of a run after its first."
    import tempfile

    from learning_gan.backend import keras
    from learning_gan.data import load_mnist
    from learning_gan.recipe import HyperParameters
    from learning_gan.training import train

    ends = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            ends.append(time.perf_counter())

    hp = HyperParameters(epochs=epochs + 1)
    with tempfile.TemporaryDirectory() as folder:
        train(hp, load_mnist(), folder, callbacks=[Clock()], verbose=False)
    return np.diff(ends) / hp.updates_per_epoch * 1e3


STARTUP = """
import time; t = [time.perf_counter()]
import learning_gan.training; t.append(time.perf_counter())
from learning_gan.data import load_mnist; images = load_mnist().train.images; t.append(time.perf_counter())
from learning_gan.backend import tf
from learning_gan.recipe import HyperParameters
from learning_gan.training import Minibatches, build_gan
hp = HyperParameters(); gan = build_gan(hp, 0); data = iter(Minibatches(images, hp, 0).blocks()); block = next(data)
t.append(time.perf_counter())
step = tf.function(gan.train_step, jit_compile=True); step.get_concrete_function(block); t.append(time.perf_counter())
step(block)["d_loss"].numpy(); t.append(time.perf_counter())
for _ in range(10): step(next(data))["d_loss"].numpy()
t.append(time.perf_counter()); print(*[b - a for a, b in zip(t, t[1:])])
"""
STAGES = (
    "import",
    "load the data",
    "build the networks",
    "trace",
    "compile and first block",
    "rest of the first epoch",
)


def startup(repeats=3):
    "Median seconds of each stage of a start, each time in a new process."
    command = [sys.executable, "-c", STARTUP]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(repeats)
    ]
    return dict(zip(STAGES, np.median(np.array(runs, float), axis=0).tolist(), strict=True))


def picture(result, path):
    "Four panels: over batch size, over width, over epochs, and the stages of a start."
    import matplotlib.pyplot as plt

    from learning_gan.style import COLORS, use_style

    use_style()
    fig, ((over_batch, over_width), (by_epoch, stages)) = plt.subplots(2, 2, figsize=(6.4, 4.8))
    for ax, key, label in (
        (over_batch, "batch_size", "batch size"),
        (over_width, "width", "width of the hidden layers"),
    ):
        x = [int(n) for n in result[key]]
        for name, color in (("ours", COLORS["generator"]), ("limit", COLORS["neutral"])):
            ax.loglog(x, [each[name] for each in result[key].values()], ".-", color=color, label=name)
        ax.set(xlabel=label, ylabel="ms an update")
        ax.set_xticks(x[::2], x[::2])
        ax.set_yticks(ticks := [0.3, 1, 3, 10, 30, 100], ticks)
        ax.minorticks_off()
        ax.legend()
    epochs = result["epochs"]
    by_epoch.plot(range(2, len(epochs) + 2), epochs, ".-", color=COLORS["generator"])
    by_epoch.set(xlabel="epoch", ylabel="ms an update", ylim=(0, 1.5 * max(epochs)))
    stages.barh(list(result["startup"]), list(result["startup"].values()), color=COLORS["neutral"])
    stages.invert_yaxis()
    stages.set(xlabel="seconds of a start")
    fig.tight_layout()
    fig.savefig(path, dpi=200)


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    unhinder()
    from learning_gan.recipe import HyperParameters

    hp, result = HyperParameters(), {}
    result["batch_size"] = {n: update_and_limit(replace(hp, batch_size=n)) for n in BATCHES}
    result["width"] = {n: update_and_limit(replace(hp, g_hidden_size=n, d_hidden_size=n)) for n in WIDTHS}
    result["epochs"] = over_epochs()
    result["startup"] = startup()
    for key in ("batch_size", "width"):
        for n, ms in result[key].items():
            print(f"{key} {n}: {ms['ours']:.2f} ms, {ms['limit'] / ms['ours']:.2f} of the limit")
    print(f"epochs: from {min(result['epochs']):.2f} to {max(result['epochs']):.2f} ms an update")
    print("start-up:", ", ".join(f"{stage} {s:.1f} s" for stage, s in result["startup"].items()))
    save_study(RESULTS / "scaling.json", provenance("make bench-scaling"), **result)
    picture(result, RESULTS / "scaling.png")


if __name__ == "__main__":
    main()
