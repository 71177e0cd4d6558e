"""Train the scorecard's classifier on MNIST's 55,000 training images and write learning_gan/classifier.npz.

The file is the ruler that every score is measured with: a new file makes new scores, which cannot be compared
with old ones. So its SHA-256 is pinned in nbs/20_scorecard.ipynb, and this command only prints the new one.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np

from learning_gan.backend import keras, tf
from learning_gan.data import load_mnist, to_unit_range
from learning_gan.files import atomic_path
from learning_gan.scorecard import build_classifier

ROOT = Path(__file__).parent.parent
BATCH_SIZE = 100


def scaled(digits):
    "Images in [-1, 1] and their labels."
    return to_unit_range(digits.images.astype(np.float32)), digits.labels


def train(data, epochs):
    "A trained classifier: Adam, its rate falling from 0.002 to 0 along a cosine, dropout 0.2 on the features."
    classifier = build_classifier()
    model = keras.Model(classifier.inputs, classifier.output["logits"])
    steps = epochs * (len(data.train) // BATCH_SIZE)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    images, labels = scaled(data.train)
    model.fit(
        images,
        labels,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_data=scaled(data.validation),
        verbose=2,
    )
    accuracy = model.evaluate(*scaled(data.test), batch_size=1000, verbose=0)[1]
    return classifier, accuracy


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "learning_gan" / "classifier.npz")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keras.utils.set_random_seed(args.seed)
    tf.config.experimental.enable_op_determinism()
    classifier, accuracy = train(load_mnist("mnist"), args.epochs)
    if accuracy < 0.99:
        raise SystemExit(f"test accuracy {accuracy:.2%} is below 99 %: nothing was written")
    with atomic_path(args.out) as temporary:
        np.savez(temporary, **{weight.path: weight.numpy() for weight in classifier.weights})
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(f"test accuracy {accuracy:.2%}, {args.out.stat().st_size:,} bytes")
    print(f'pin it in nbs/20_scorecard.ipynb: CLASSIFIER_SHA256 = "{digest}"')


if __name__ == "__main__":
    main()
