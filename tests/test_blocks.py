"""How many updates a compiled call holds is a matter of speed alone."""

from functools import cache

import numpy as np
import pytest

from learning_gan.parts.data import load_mnist
from learning_gan.parts.minibatches import Minibatches
from learning_gan.parts.recipes import HyperParameters
from learning_gan.run.training import build_gan

UPDATES = 110


@cache
def after_updates(size: int) -> list[np.ndarray]:
    "Every weight and both Adams' state after updates of the post's networks, in blocks of `size`."
    hp, seed = HyperParameters(epochs=1), 3
    gan, minibatches = build_gan(hp, seed), Minibatches(load_mnist("embedded").train.images, hp, seed)
    minibatches.per_epoch = UPDATES
    gan.fit(minibatches.blocks(size=size), steps_per_epoch=-(-UPDATES // size), verbose=0)
    return [variable.numpy() for variable in gan.state().values()]


@pytest.mark.parametrize("size", [1, UPDATES])
def test_the_size_of_a_block_changes_no_bit(size):
    for one, other in zip(after_updates(size), after_updates(50), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(0.2 < np.abs(weights).max() < 500 for weights in after_updates(50))  # something was learnt
