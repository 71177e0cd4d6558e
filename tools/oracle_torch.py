"""Compare the scorecard's Fréchet distance and MMD² with torchmetrics', on the scorecard's own features.

Run by `make oracle`, by hand: it needs PyTorch (the extra oracle_torch), which no test of this project does.
"""

import numpy as np
import torch
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from learning_gan.measure.measures import describe, frechet_distance, mmd2
from learning_gan.parts.data import load_mnist

TOLERANCE, N = 1e-4, 2_000  # relative; images on each side


def theirs(metric, real, fake, **options) -> float:
    "What a metric of torchmetrics, which takes features as they are, says of two sets of them."
    as_is = torch.nn.Identity()
    as_is.num_features = real.shape[1]
    metric = metric(feature=as_is, **options)
    metric.update(torch.from_numpy(real), real=True)
    metric.update(torch.from_numpy(fake), real=False)
    return float(np.ravel(metric.compute())[0])


def main() -> None:
    "Compare real images with other real ones, blended ones, a single digit and noise."
    data, rng = load_mnist(), np.random.default_rng(0)
    test, train = (rng.permutation(part.images)[:N] for part in (data.test, data.train))
    fakes = {"real": train, "blended": (train // 2 + train[::-1] // 2).astype(np.uint8)}
    fakes["ones"] = data.train.images[data.train.labels == 1][:N]
    fakes["noise"] = rng.integers(0, 256, train.shape, dtype=np.uint8)
    real, worst = describe(test)[0], 0.0
    for name, images in fakes.items():
        fake, n = describe(images)[0], min(len(real), len(images))
        other = theirs(KernelInceptionDistance, real[:n], fake[:n], subsets=1, subset_size=n)
        pairs = {"MMD²": (mmd2(real[:n], fake[:n]), other)}
        pairs["Fréchet"] = frechet_distance(real, fake), theirs(FrechetInceptionDistance, real, fake)
        for measure, (mine, other) in pairs.items():
            worst = max(worst, error := abs(mine - other) / abs(other))
            print(f"{name:8} {measure:8} {mine:16.9f} torchmetrics {other:16.9f} difference {error:.1e}")
    said = f"the largest relative difference is {worst:.1e}, the limit {TOLERANCE:.0e}"
    raise SystemExit(said if worst > TOLERANCE else print(said))


if __name__ == "__main__":
    main()
