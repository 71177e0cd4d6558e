"""Write what the lab's page loads: WebAssembly, 2,000 digits, and trained generators in few bytes.

The generators are those of the recipe `steady`, with the average of their weights after some epochs, and the one of
the recipe `digits` that executing chapter 31 leaves in nbs/runs/digits. Weights are stored as whole numbers of steps,
a step for each array, and packed by gzip; what the rounding does to a picture is printed.
"""

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from learning_gan.core.backend import keras
from learning_gan.core.files import atomic_path
from learning_gan.parts.data import load_mnist
from learning_gan.parts.inputs import SAMPLE, latents
from learning_gan.parts.minibatches import labels_in_turn, with_labels
from learning_gan.parts.recipes import recipe
from learning_gan.run.sampling import load_generator
from learning_gan.run.training import build_gan, train

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "nbs" / "assets" / "lab"
CONDITIONAL = ROOT / "nbs" / "runs" / "digits"
ASSEMBLYSCRIPT = "assemblyscript@0.28.20"
EPOCHS = (0, 1, 2, 3, 5, 8, 12, 20)
DIGITS = 2_000
PAGES = 128  # of 64 KiB: the memory of an update
LARGEST = 31  # steps from 0 to the largest weight: five bits and a sign, of which gzip leaves about four


def write(name: str, data: bytes) -> None:
    "Write a file of the lab."
    with atomic_path(OUT / name) as temporary:
        temporary.write_bytes(data)
    print(f"{name}: {len(data):,} bytes", flush=True)


def packed(data: bytes) -> bytes:
    "The same bytes each time: gzip without a date."
    return gzip.compress(data, 9, mtime=0)


def write_kernels() -> None:
    "The arithmetic of an update, with the SIMD of every browser and with that of newer ones."
    with tempfile.TemporaryDirectory() as folder:
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(["npm", "install", "--prefix", folder, *quiet, ASSEMBLYSCRIPT], check=True)
        command = ["node", Path(folder, "node_modules/assemblyscript/bin/asc.js"), OUT / "kernels.ts"]
        command += f"--runtime stub -O3 --noAssert --initialMemory {PAGES} --enable simd".split()
        for name, more in (("kernels.wasm", []), ("kernels-fused.wasm", ["--enable", "relaxed-simd"])):
            made = Path(folder, name)
            subprocess.run([*command, *more, "-o", made], check=True)
            write(name, made.read_bytes())


def write_weights(name: str, arrays: list[np.ndarray], draw) -> None:
    "Write weights as whole numbers of steps, and print how far a pixel moves; `draw` makes images of weights."
    data, back = b"", []
    for array in arrays:
        step = np.float32(np.abs(array).max() / LARGEST or 1)
        whole = np.round(array / step).astype(np.int8)
        data += step.tobytes() + whole.tobytes()
        back.append(whole.astype(np.float32) * step)
    write(name, packed(data))
    print(f"  a pixel moves by {np.abs(draw(arrays) - draw(back)).mean():.4f} in the mean, of 2", flush=True)


def write_epochs() -> None:
    "The generator of the recipe `steady` before the training and after some epochs."
    hp = recipe("steady")
    generator = build_gan(hp, 0).generator
    kept = {0: generator.get_weights()}

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch + 1 in EPOCHS:
                kept[epoch + 1] = self.model.averaged_generator().get_weights()

    with tempfile.TemporaryDirectory() as run:
        train(hp, load_mnist("mnist"), run, callbacks=(Keep(),), verbose=False)

    def draw(weights):
        generator.set_weights(weights)
        return generator(latents(0, 0, 64, hp.z_size, SAMPLE)).numpy()

    for epoch in EPOCHS:
        write_weights(f"epoch_{epoch}.bin", kept[epoch], draw)


def folded(generator: keras.Model) -> list[np.ndarray]:
    "The weights of a convolutional generator with its batch normalisation multiplied into the layers before."
    arrays = []
    for layer, norm in (("project", "norm_1"), ("up_1", "norm_2")):
        gamma, beta, mean, variance = generator.get_layer(norm).get_weights()
        scale = gamma / np.sqrt(variance + generator.get_layer(norm).epsilon)
        kernel = generator.get_layer(layer).get_weights()[0]
        places = kernel.shape[-1] // len(scale) if layer == "project" else 1  # a channel has many places
        factor = np.tile(scale, places) if layer == "project" else scale[:, None]
        arrays += [kernel * factor, np.tile(beta - mean * scale, places)]
    return arrays + generator.get_layer("images").get_weights()


def write_conditional() -> None:
    "The generator that is told the digit."
    generator, twice = load_generator(CONDITIONAL, average=True), dict(strides=2, padding="same")
    z_size, channels = generator.input_shape[0][1], generator.get_layer("fold").output.shape[3]
    told = with_labels(latents(0, 0, 40, z_size, SAMPLE), labels_in_turn(40, (10,)), (10,))

    def draw(weights):
        h = np.maximum(np.concatenate(told, 1) @ weights[0] + weights[1], 0).reshape(-1, 7, 7, channels)
        h = keras.ops.relu(keras.ops.conv_transpose(h, weights[2], **twice) + weights[3])
        return np.tanh(keras.ops.conv_transpose(h, weights[4], **twice) + weights[5])

    arrays = folded(generator)
    assert np.abs(draw(arrays) - generator(told).numpy()).max() < 1e-4
    write_weights("conditional.bin", arrays, draw)


def main() -> None:
    "Write everything anew."
    if not shutil.which("npm"):
        sys.exit("npm is needed to fetch AssemblyScript: install Node.js")
    if not CONDITIONAL.is_dir():
        sys.exit(f"{os.path.relpath(CONDITIONAL)} is missing: execute chapter 31, which trains it")
    OUT.mkdir(exist_ok=True)
    write_kernels()
    write("digits.bin", packed(load_mnist("embedded").train.images[:DIGITS].tobytes()))
    write_conditional()
    write_epochs()


if __name__ == "__main__":
    main()
