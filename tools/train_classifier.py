"""Train the scorecard's classifier on 45,000 of MNIST's training images and write learning_gan/classifier.npz.

The 10,000 training images that it never sees are for the scorecard's floor. The file is the ruler that every score is
measured with: a new file makes new scores, which cannot be compared with old ones. So its SHA-256 is pinned in
nbs/22_ruler.ipynb, and this command only prints the new one.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np

from learning_gan.backend import keras, own_settings, tf
from learning_gan.data import load_mnist
from learning_gan.files import atomic_path
from learning_gan.ruler import RULER_IMAGES, build_classifier, check_images

ROOT = Path(__file__).parent.parent
BATCH_SIZE = 100


def scaled(digits):
    "Images as the classifier takes them, and their labels."
    return check_images(digits.images), digits.labels


def train(data, epochs):
    "A trained classifier: Adam, its rate falling from 0.002 to 0 along a cosine, dropout 0.2 on the features."
    classifier = build_classifier()
    model = keras.Model(classifier.inputs, classifier.output["logits"])
    steps = epochs * (RULER_IMAGES // BATCH_SIZE)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    images, labels = scaled(data.train[:RULER_IMAGES])
    validation = scaled(data.validation)
    model.fit(images, labels, batch_size=BATCH_SIZE, epochs=epochs, validation_data=validation, verbose=2)
    parts = {"unseen training images": data.train[RULER_IMAGES:], "test images": data.test}
    accuracies = {
        name: model.evaluate(*scaled(digits), batch_size=1000, verbose=0)[1] for name, digits in parts.items()
    }
    return classifier, accuracies


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "learning_gan" / "classifier.npz")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keras.utils.set_random_seed(args.seed)
    tf.config.experimental.enable_op_determinism()
    with own_settings(mixed=False):
        classifier, accuracies = train(load_mnist("mnist"), args.epochs)
    print("accuracy:", ", ".join(f"{value:.2%} of {name}" for name, value in accuracies.items()))
    if accuracies["test images"] < 0.99:
        raise SystemExit("test accuracy is below 99 %: nothing was written")
    with atomic_path(args.out) as temporary:
        np.savez(temporary, **{weight.path: weight.numpy() for weight in classifier.weights})
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(f'{args.out.stat().st_size:,} bytes; pin it in nbs/22_ruler.ipynb: CLASSIFIER_SHA256 = "{digest}"')


if __name__ == "__main__":
    main()
