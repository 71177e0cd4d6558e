"""Train the reader of Hangul on the syllables that are shown, in all fonts, and write learning_gan/reader.npz.

Its four heads read initial, vowel, final and font. It never sees the held-out syllables. Like the classifier of the
scorecard it is a ruler: a new file makes new scores, so its SHA-256 is pinned in nbs/machine/85_reader.ipynb.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np

from learning_gan.core.backend import keras, own_settings, tf
from learning_gan.core.files import atomic_path
from learning_gan.measure.reader import PARTS, build_reader
from learning_gan.parts.data import to_unit_range
from learning_gan.parts.syllables import hangul, letters_of

OUT = Path(__file__).resolve().parent.parent / "learning_gan" / "reader.npz"
BATCH_SIZE = 64
RATES = (2e-3, 1.5e-3)  # of the rounds of training, each falling to 0


def answers(part):
    "Initial, vowel, final and font of each glyph, [n, 4]."
    return np.concatenate([letters_of(part.labels), part.styles[:, None]], axis=1)


def wrong(right, logits):
    "The sum of the four cross entropies."
    right = tf.cast(right, tf.int32)
    parts = tf.split(logits, PARTS, axis=1)
    return tf.add_n(
        [tf.nn.sparse_softmax_cross_entropy_with_logits(right[:, i], part) for i, part in enumerate(parts)]
    )


def trained(data, epochs):
    "A reader, trained in rounds: Adam, its rate falling along a cosine in each."
    reader, images = build_reader(), to_unit_range(data.train.images)
    model = keras.Model(reader.inputs, reader.output["logits"])
    for rate in RATES:
        schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * len(images) // BATCH_SIZE)
        model.compile(
            keras.optimizers.Adam(schedule), wrong, jit_compile=False
        )  # XLA is slow at convolutions
        model.fit(images, answers(data.train), batch_size=BATCH_SIZE, epochs=epochs, verbose=2)
    return reader


def accuracy(reader, part):
    "Which share has all three letters right, and which the font."
    logits = reader.predict(to_unit_range(part.images), batch_size=1000, verbose=0)["logits"]
    read = np.stack([some.argmax(axis=1) for some in np.split(logits, np.cumsum(PARTS)[:-1], axis=1)], axis=1)
    right = read == answers(part)
    return f"letters {right[:, :3].all(axis=1).mean():.2%}, font {right[:, 3].mean():.2%}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--epochs", type=int, default=3, help="of each round")
    args = parser.parse_args()
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    data = hangul()
    with own_settings(mixed=False):
        reader = trained(data, args.epochs)
    for weight in reader.weights:
        weight.assign(weight.numpy().astype(np.float16))
    for name, part in (("seen", data.train), ("unseen", data.test)):
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
