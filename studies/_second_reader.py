"""Another reader of Hangul, for a second opinion: other layers, other first weights, the shown glyphs alone."""

from functools import cache
from pathlib import Path

import numpy as np

from learning_gan.core.backend import keras, own_settings, tf
from learning_gan.core.files import atomic_path
from learning_gan.parts.data import load_mnist, to_unit_range
from learning_gan.parts.syllables import KINDS, letters_of

EPOCHS, BATCH_SIZE, SEED = 6, 128, 11


def _wrong(right, logits):
    "The sum of the three cross entropies."
    parts = zip(tf.unstack(tf.cast(right, tf.int32), axis=1), tf.split(logits, KINDS, axis=1), strict=True)
    return tf.add_n([tf.nn.sparse_softmax_cross_entropy_with_logits(*part) for part in parts])


def _network():
    "Strided convolutions, and no layer between what they see and the letters."
    layers = keras.layers
    x = image = keras.Input((32, 32, 1))
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters, 4, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(sum(KINDS))(x))


def _trained():
    "The network, trained; all glyphs move by up to a pixel from one epoch to the next."
    part, rng = load_mnist("hangul").train, np.random.default_rng(SEED)
    images, right = to_unit_range(part.images), letters_of(part.labels)
    with own_settings(mixed=False):
        keras.utils.set_random_seed(SEED)
        model = _network()
        rates = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * -(-len(part) // BATCH_SIZE))
        model.compile(keras.optimizers.Adam(rates), _wrong, jit_compile=False)
        for _ in range(EPOCHS):
            moved = np.roll(images, rng.integers(-1, 2, 2), axis=(1, 2))
            model.fit(moved, right, batch_size=BATCH_SIZE, verbose=0)
    return model


@cache
def second_reader(path: Path):
    "The network as the file has it, which is made where it is missing."
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            np.savez(temporary, *_trained().get_weights())
    with own_settings(mixed=False), np.load(path) as weights:
        model = _network()
        model.set_weights([weights[name] for name in weights.files])
    return model


def read_again(images, path: Path) -> np.ndarray:  # letters [n, 3], of bytes or floats in [-1, 1]
    "What the second reader reads in glyphs."
    logits = second_reader(path).predict(to_unit_range(images), batch_size=1_000, verbose=0)
    return np.stack([part.argmax(axis=1) for part in np.split(logits, np.cumsum(KINDS)[:-1], axis=1)], axis=1)
