"""Write what the lab's page loads: WebAssembly, 2,000 digits, trained generators and the scorecard's classifier.

The generators are those of the recipe `steady`, with the average of their weights after some epochs, the one of the
recipe `digits` that executing chapter 31 leaves in nbs/go_on/runs/digits, and one of the recipe `hangul`, of which the
syllables that it was shown are written too. Weights are stored as whole numbers of steps, a step for each array, and
packed by gzip; what the rounding does to a picture, to what the classifier sees and to what can be read is printed.
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
from learning_gan.measure.measures import DIGITS, neighbour_scores
from learning_gan.measure.reader import READER
from learning_gan.parts.data import load_mnist
from learning_gan.parts.inputs import SAMPLE, latents
from learning_gan.parts.minibatches import labels_in_turn, with_labels
from learning_gan.parts.recipes import recipe
from learning_gan.parts.syllables import KINDS, letters_of, split
from learning_gan.run.sampling import load_generator
from learning_gan.run.training import build_gan, train

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "nbs" / "assets" / "lab"
CONDITIONAL, HANGUL = (ROOT / "nbs" / "go_on" / "runs" / name for name in ("digits", "hangul"))
RUNS = {
    CONDITIONAL: "execute chapter 31, which trains it",
    HANGUL: "train it with learning_gan_train --recipe hangul --data hangul",
}
ASSEMBLYSCRIPT = "assemblyscript@0.28.20"
EPOCHS = (0, 1, 2, 3, 5, 8, 12, 20)
KNOWN = 2_000  # digits to learn from
PAGES = 128  # of 64 KiB: the memory of an update
LARGEST = 31  # steps from 0 to the largest weight: five bits and a sign, of which gzip leaves about four
FINER = 63  # the same for the classifier: with 31, a coverage moved by up to 0.025, with 63 by 0.01


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


def write_rounded(name: str, arrays: list[np.ndarray], largest: int = LARGEST) -> list[np.ndarray]:
    "Write weights as whole numbers of steps; returns what is left of them."
    data, back = b"", []
    for array in arrays:
        step = np.float32(np.abs(array).max() / largest or 1)
        whole = np.round(array / step).astype(np.int8)
        data += step.tobytes() + whole.tobytes()
        back.append(whole.astype(np.float32) * step)
    write(name, packed(data))
    return back


def write_weights(name: str, arrays: list[np.ndarray], draw) -> np.ndarray:
    "The same for a generator, and print how far a pixel moves; `draw` makes images of weights. Returns the new ones."
    images = draw(write_rounded(name, arrays))
    print(f"  a pixel moves by {np.abs(draw(arrays) - images).mean():.4f} in the mean, of 2", flush=True)
    return images


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
    arrays, names = [], [layer.name for layer in generator.layers]
    for number, layer in enumerate(["project", *(name for name in names if name.startswith("up_"))], 1):
        norm, (kernel,) = generator.get_layer(f"norm_{number}"), generator.get_layer(layer).get_weights()
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        places = kernel.shape[-1] // len(scale) if layer == "project" else 1  # a channel has many places
        factor = np.tile(scale, places) if layer == "project" else scale[:, None]
        arrays += [kernel * factor, np.tile(beta - mean * scale, places)]
    return arrays + generator.get_layer("images").get_weights()


def write_convolutional(name: str, run: Path, told) -> np.ndarray:
    "The averaged generator of a run; `told` are z and labels to see it by. Returns its images after the rounding."
    generator = load_generator(run, average=True)
    _, side, _, channels = generator.get_layer("fold").output.shape

    def draw(weights):
        h = (np.concatenate(told, 1) @ weights[0] + weights[1]).reshape(-1, side, side, channels)
        for kernel, bias in zip(weights[2::2], weights[3::2], strict=True):
            h = keras.ops.conv_transpose(np.maximum(h, 0), kernel, strides=2, padding="same") + bias
        return np.tanh(h)

    arrays = folded(generator)
    assert np.abs(draw(arrays) - generator(told).numpy()).max() < 1e-4
    return write_weights(name, arrays, draw)


def write_ruler() -> None:
    "The scorecard's classifier, and what the rounding does to what it sees in digits that it has not learnt from."
    classifier, images = DIGITS.build(), load_mnist("mnist").test.images
    real, other, third = (images[first::25] for first in (0, 8, 16))
    samples = [
        DIGITS.check(each) for each in (real, other, other // 2 + third // 2)
    ]  # the last are no digits

    def measured(weights):
        classifier.set_weights(weights)
        seen = [classifier.predict(each, verbose=0) for each in samples]
        mine, *others = (each["features"] for each in seen)
        covered = [neighbour_scores(mine, features)["coverage"] for features in others]
        return np.concatenate([each["logits"] for each in seen[:2]]).argmax(axis=1), covered

    weights = DIGITS.load().get_weights()
    (digits, before), (again, after) = measured(weights), measured(write_rounded("ruler.bin", weights, FINER))
    print(
        f"  {(digits == again).mean():.1%} of digits are read the same; coverage of real images by real ones and"
    )
    print(
        "  by no digits: {:.3f} and {:.3f} before, {:.3f} and {:.3f} after".format(*before, *after),
        flush=True,
    )


def main() -> None:
    "Write everything anew."
    if not shutil.which("npm"):
        sys.exit("npm is needed to fetch AssemblyScript: install Node.js")
    for run, how in RUNS.items():
        if not run.is_dir():
            sys.exit(f"{os.path.relpath(run)} is missing: {how}")
    OUT.mkdir(exist_ok=True)
    write_kernels()
    write("digits.bin", packed(load_mnist("embedded").train.images[:KNOWN].tobytes()))
    told = with_labels(latents(0, 0, 40, 20, SAMPLE), labels_in_turn(40, (10,)), (10,))
    write_convolutional("conditional.bin", CONDITIONAL, told)
    seen, unseen = split()
    told = with_labels(latents(0, 0, len(unseen), 16, SAMPLE), unseen, KINDS)
    right = (READER.read(write_convolutional("hangul.bin", HANGUL, told))[0] == letters_of(unseen)).all(
        axis=1
    )
    print(f"  {right.mean():.1%} of the syllables that it was never shown are read right", flush=True)
    write("seen.bin", packed(np.packbits(np.isin(np.arange(np.prod(KINDS)), seen)).tobytes()))
    write_ruler()
    write_epochs()


if __name__ == "__main__":
    main()
