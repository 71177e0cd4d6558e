"""Syllables that were never shown: nbs/results/hangul.json and hangul.npz, for chapter 35.

`z`: the recipe `hangul`, in which nobody says which font a glyph is in and z has to invent it. `l1`: its generator
alone, lowering the mean distance to glyphs of the same syllable. `font`: both networks are told the font as well, and
the GAN has L1 beside it. Scores are of the average of the weights, n glyphs each; the floor are real glyphs.

Settled before the first run: an arm `z` has reached its goal where the mean over seeds is at least 97 % of unseen
syllables read right in all three letters, 15 of 16 fonts met in 1,000 z (the 24 of 27 that were aimed at first, of the
fonts that are shipped), a style kept in at least 80 %, a Fréchet distance of at most 3 for unseen syllables and at most
1.2 times that of seen ones, and a memorisation share no larger than twice that of real glyphs. `font`: at least 95 %,
and better than `l1`. How many epochs a run has is set by the minutes that there are, not by what it draws.
"""

import csv
import time
from dataclasses import asdict

import numpy as np

from learning_gan.core.backend import keras
from learning_gan.core.files import atomic_path
from learning_gan.measure.measures import nearest_training_images
from learning_gan.measure.reader import READER, READER_SHA256, score_syllables
from learning_gan.parts.data import load_mnist, to_pixels
from learning_gan.parts.recipes import recipe
from learning_gan.parts.syllables import FONTS, HANGUL_SHA256, KINDS, letters_of, split
from learning_gan.run.hangul import draw_codes, write
from learning_gan.run.sampling import load_generator
from learning_gan.run.training import train
from learning_gan.trials.studies import Study
from studies import SEED, without

ARMS = {
    "z": {},
    "l1": {"model": "hangul_mean", "epochs": 1},
    "font": {"model": "hangul_fonts", "architecture": "hangul_fonts", "classes": 16},
}
CELLS = {"z": range(5), "l1": range(5), "font": range(5)}
EPOCHS, N = 14, 1_960
SHOWN = {"z": "z-0", "l1": "l1-0", "font": "font-0"}  # runs that are drawn
ROWS = 14  # syllables in a picture, and as many styles


class Minutes(keras.callbacks.Callback):
    "Writes down after each epoch how many minutes of the processor it took."

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([epoch + 1, (time.process_time() - self.start) / 60])

    def read(self) -> float:
        "The minutes of all epochs; where one was done twice, the later time counts."
        rows = dict(csv.reader(self.path.read_text().splitlines()))
        return len(rows) and sum(map(float, rows.values()))


def do(path, cell: str, seed: int, epochs: int, n: int) -> dict:
    "Train an arm, in a run folder that it goes on with, and score it."
    run, minutes = path.with_suffix(""), Minutes(path.with_suffix(".csv"))
    data, hp = load_mnist("hangul"), recipe("hangul", **{"epochs": epochs} | ARMS[cell])
    train(hp, data, run, seed, callbacks=(minutes,), verbose=False)
    score = score_syllables(load_generator(run, average=True), data, n, SEED)
    about = {"arm": cell, "seed": seed, "minutes": minutes.read(), "recipe": asdict(hp)}
    return about | score["generated"] | {"floor": score["real"]}


def pack(runs: dict, how: dict) -> dict:
    "All runs, and the floor, which is that of any."
    floor = next(iter(runs.values()))["floor"]
    return {"floor": floor, "runs": [without(run, "floor") for run in runs.values()]}


def unpack(kept: dict) -> dict:
    "The runs again."
    return {(run["arm"], run["seed"]): run | {"floor": kept["floor"]} for run in kept["runs"]}


def right_by_letter(images, codes) -> np.ndarray:  # float32 [3, 28], NaN where no syllable has the letter
    "How often each initial, vowel and final is read right."
    told, shares = letters_of(codes), np.full((len(KINDS), max(KINDS)), np.nan, np.float32)
    right = READER.read(images)[0] == told
    for place in range(len(KINDS)):
        for letter in set(told[:, place].tolist()):
            shares[place, letter] = right[told[:, place] == letter, place].mean()
    return shares


def pictures(runs) -> dict:
    "What each arm draws of some unseen syllables, and the nearest training glyphs beside the first arm's."
    data, codes = load_mnist("hangul"), split()[1][7 :: 245 // ROWS][:ROWS]
    text, drawn = "".join(chr(0xAC00 + code) for code in codes), {"codes": codes}
    for arm, name in SHOWN.items():
        if (runs / f"{name}.json").exists():
            images = write(load_generator(runs / name, average=True), text, range(ROWS), SEED)
            drawn[arm] = to_pixels(images[..., 0])
    near = nearest_training_images(drawn["z"].reshape(-1, 32, 32, 1), data.train.images, READER.check)
    drawn |= {"nearest": data.train.images[near[1], ..., 0], "distance": near[0].astype(np.float32)}
    real = [data.test.images[data.test.labels == code, :, :, 0] for code in codes]
    unseen = np.repeat(split()[1], len(FONTS))
    styles = np.resize(np.arange(len(FONTS)), len(unseen))
    images = draw_codes(load_generator(runs / SHOWN["z"], average=True), unseen, styles, SEED)
    drawn |= {"right": right_by_letter(images, unseen)}
    drawn |= {"real_right": right_by_letter(data.test.images, data.test.labels)}
    return drawn | {"real": np.stack(real, axis=1)}


def after(runs, out) -> None:
    "The pictures, once there is a run to draw."
    if (runs / "z-0.json").exists():
        with atomic_path(out / "hangul.npz") as temporary:
            np.savez_compressed(temporary, **pictures(runs))


ABOUT = {"data": {"name": "hangul", "sha256": HANGUL_SHA256}, "classifier_sha256": READER_SHA256}
STUDY = Study("hangul", "hangul", do, CELLS, {"epochs": EPOCHS, "n": N}, pack, unpack, ABOUT, after=after)
