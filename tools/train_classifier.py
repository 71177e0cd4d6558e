"""Train the scorecard's classifier on 45,000 of MNIST's training images and write learning_gan/classifier.npz.

The 10,000 training images that it never sees are for the scorecard's floor. The file is the ruler that every score is
measured with: a new file makes new scores, which cannot be compared with old ones. So its SHA-256 is pinned in
nbs/machine/65_measures.ipynb, and this command only prints the new one.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np

from learning_gan.core.backend import keras, own_settings, tf
from learning_gan.core.files import atomic_path
from learning_gan.measure.measures import RULER_IMAGES, build_classifier, check_images
from learning_gan.parts.data import load_mnist

BATCH_SIZE = 100


def scaled(digits):
    "Images as the classifier takes them, and their labels."
    return check_images(digits.images), digits.labels


def trained(data, epochs):
    "A classifier and its accuracies: Adam, its rate falling from 0.002 to 0 along a cosine, dropout on the features."
    classifier = build_classifier()
    model = keras.Model(classifier.inputs, classifier.output["logits"])
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * (RULER_IMAGES // BATCH_SIZE))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    held_out = dict(validation_data=scaled(data.validation), verbose=2)
    model.fit(*scaled(data.train[:RULER_IMAGES]), batch_size=BATCH_SIZE, epochs=epochs, **held_out)
    parts = {"unseen training images": data.train[RULER_IMAGES:], "test images": data.test}
    fast = dict(batch_size=1000, verbose=0)
    return classifier, {name: model.evaluate(*scaled(part), **fast)[1] for name, part in parts.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    file = Path(__file__).parent.parent / "learning_gan" / "classifier.npz"
    parser.add_argument("--out", type=Path, default=file)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keras.utils.set_random_seed(args.seed)
    tf.config.experimental.enable_op_determinism()
    with own_settings(mixed=False):
        classifier, accuracy = trained(load_mnist("mnist"), args.epochs)
    print("accuracy:", ", ".join(f"{value:.2%} of {name}" for name, value in accuracy.items()))
    if accuracy["test images"] < 0.99:
        raise SystemExit("test accuracy is below 99 %: nothing was written")
    with atomic_path(args.out) as temporary:
        np.savez(temporary, **{weight.path: weight.numpy() for weight in classifier.weights})
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(f'pin it in nbs/machine/65_measures.ipynb: CLASSIFIER_SHA256 = "{digest}"')


if __name__ == "__main__":
    main()
