"""Train the reader of Hangul, and write learning_gan/reader.npz.

Its four heads read initial, vowel, final and font. It learns from the syllables of the data that are shown, in all
fonts, and from those outside KS X 1001 in the fonts that have them, which npm fetches. It never sees the 245 syllables
that are held out. Like the classifier of the scorecard it is a ruler: a new file makes new scores, so its SHA-256 is
pinned in nbs/machine/85_reader.ipynb.
"""

import argparse
import hashlib
import tempfile
from pathlib import Path

import numpy as np
from make_hangul import fetch

from learning_gan.core.backend import keras, own_settings, tf
from learning_gan.core.files import atomic_path
from learning_gan.measure.reader import PARTS, build_reader, read_from
from learning_gan.parts.data import DataError, Images, to_unit_range
from learning_gan.parts.syllables import FONTS, draw_font, hangul, ks_x_1001, letters_of, pack, unpack

OUT = Path(__file__).resolve().parent.parent / "learning_gan" / "reader.npz"
BATCH_SIZE = 128
RATE = 3e-3  # the highest, after a tenth of the training; it falls to 0 along a cosine
SHIFT = 1  # at most so many pixels, up or down, left or right


def outside(folder: Path) -> Images:
    "The syllables outside KS X 1001, in the fonts that have them."
    codes, glyphs, styles = np.setdiff1d(np.arange(11_172), ks_x_1001()), [], []
    for style, font in enumerate(FONTS):
        try:
            glyphs.append(unpack(pack(draw_font(fetch(font, folder)[0], codes))))
        except DataError:
            continue
        styles.append(style)
        print(font, flush=True)
    return Images(np.concatenate(glyphs), np.tile(codes, len(styles)), np.repeat(styles, len(codes)))


def answers(part):
    "Initial, vowel, final and font of each glyph, [n, 4]."
    return np.concatenate([letters_of(part.labels), part.styles[:, None]], axis=1)


def wrong(right, logits):
    "The sum of the four cross entropies."
    parts = zip(tf.unstack(tf.cast(right, tf.int32), axis=1), tf.split(logits, PARTS, axis=1), strict=True)
    return tf.add_n([tf.nn.sparse_softmax_cross_entropy_with_logits(*part) for part in parts])


def moved(images, rng):
    "Each image up to `SHIFT` pixels from where it was."
    wide = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)))
    ways, out = rng.integers(0, 2 * SHIFT + 1, (len(images), 2)), np.empty_like(images)
    for y, x in np.ndindex(2 * SHIFT + 1, 2 * SHIFT + 1):
        some = (ways == [y, x]).all(axis=1)
        out[some] = wide[some, y : y + 32, x : x + 32]
    return out


def epoch(shown, more, rng):
    "All glyphs that are shown and two thirds as many of the others, in random order: images and answers."
    some = rng.choice(len(more), len(shown) * 2 // 3, replace=False)
    order = rng.permutation(len(shown) + len(some))
    images = np.concatenate([shown.images, more.images[some]])[order]
    return moved(images, rng), np.concatenate([answers(shown), answers(more)[some]])[order]


def trained(shown, more, epochs):
    "A reader, trained by Adam."
    reader, rng = build_reader(), np.random.default_rng(0)
    model = keras.Model(reader.inputs, reader.output["logits"])
    steps = epochs * -(-len(shown) * 5 // 3 // BATCH_SIZE)
    rates = keras.optimizers.schedules.CosineDecay(
        RATE / 10, steps - steps // 10, warmup_target=RATE, warmup_steps=steps // 10
    )
    model.compile(keras.optimizers.Adam(rates), wrong, jit_compile=False)  # XLA is slow at convolutions
    for _ in range(epochs):
        images, right = epoch(shown, more, rng)
        model.fit(to_unit_range(images), right, batch_size=BATCH_SIZE, shuffle=False, verbose=2)
    return reader


def accuracy(reader, part):
    "Which share has all three letters right, and which the font."
    logits = reader.predict(to_unit_range(part.images), batch_size=1000, verbose=0)["logits"]
    letters, fonts = read_from(logits)
    right = (letters == letters_of(part.labels)).all(axis=1)
    return f"letters {right.mean():.2%}, font {(fonts == part.styles).mean():.2%}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--epochs", type=int, default=6, help="of 56,133 glyphs each")
    args = parser.parse_args()
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    data = hangul()
    with tempfile.TemporaryDirectory() as folder:
        more = outside(Path(folder))
    with own_settings(mixed=False):
        reader = trained(data.train, more, args.epochs)
    for weight in reader.weights:
        weight.assign(weight.numpy().astype(np.float16))
    for name, part in (("seen", data.train), ("unseen", data.test), ("outside KS X 1001", more)):
        print(f"{name}: {accuracy(reader, part)}", flush=True)
    with atomic_path(args.out) as temporary:
        np.savez_compressed(
            temporary, **{weight.path: weight.numpy().astype(np.float16) for weight in reader.weights}
        )
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(
        f'{args.out.stat().st_size:,} bytes; pin in nbs/machine/85_reader.ipynb: READER_SHA256 = "{digest}"'
    )


if __name__ == "__main__":
    main()
