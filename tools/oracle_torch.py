"""Compare the scorecard's Fréchet distance and KID with torchmetrics', on the scorecard's own features.

Run by `make oracle`, by hand: it needs PyTorch (the extra oracle_torch), which no test of this project does.
"""

import numpy as np
import torch
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from learning_gan.measure.measures import describe, frechet_distance, kid, mmd2
from learning_gan.parts.data import load_mnist

TOLERANCE = 1e-4  # relative


def torch_says(metric, real, fake, **options):
    "What a metric of torchmetrics, which takes features as they are, says of two sets of them."
    as_is = torch.nn.Identity()
    as_is.num_features = real.shape[1]
    metric = metric(feature=as_is, **options)
    metric.update(torch.from_numpy(real), real=True)
    metric.update(torch.from_numpy(fake), real=False)
    return metric.compute()


def torch_frechet(real, fake):
    return float(torch_says(FrechetInceptionDistance, real, fake))


def torch_mmd2(real, fake):
    some = dict(subsets=1, subset_size=min(len(real), len(fake)))
    return float(torch_says(KernelInceptionDistance, real, fake, **some)[0])


def torch_kid(real, fake):
    groups = zip(np.array_split(real, 10), np.array_split(fake, 10), strict=True)
    return float(np.mean([torch_mmd2(*group) for group in groups]))


def cases(data, n=2_000):
    "Pairs of features: real images against other real ones, blended ones, a single digit, noise."
    rng, n = np.random.default_rng(0), min(n, len(data.test))
    real, _ = describe(data.test.images[rng.permutation(len(data.test))[:n]])
    train = data.train.images[rng.permutation(len(data.train))[:n]]
    blended = (train // 2 + train[::-1] // 2).astype(np.uint8)
    ones = data.train.images[data.train.labels == 1][:n]
    noise = rng.integers(0, 256, train.shape, dtype=np.uint8)
    for name, images in {"real": train, "blended": blended, "ones": ones, "noise": noise}.items():
        yield name, real[: len(images)], describe(images)[0]


def main():
    pairs = {"Fréchet": (frechet_distance, torch_frechet), "MMD²": (mmd2, torch_mmd2)}
    pairs |= {"KID": (lambda real, fake: kid(real, fake)[0], torch_kid)}
    worst = 0.0
    for name, real, fake in cases(load_mnist()):
        for measure, (ours, theirs) in pairs.items():
            mine, other = ours(real, fake), theirs(real, fake)
            worst = max(worst, error := abs(mine - other) / abs(other))
            both = f"{mine:16.9f} torchmetrics {other:16.9f}"
            print(f"{name:8} {measure:8} {both} relative difference {error:.1e}")
    if worst > TOLERANCE:
        raise SystemExit(f"the largest relative difference, {worst:.1e}, is above {TOLERANCE:.0e}")
    print(f"all agree: the largest relative difference is {worst:.1e}, the limit {TOLERANCE:.0e}")


if __name__ == "__main__":
    main()
