"""DiffAugment: what it does to images, its numbers, and a run that is resumed to the bit."""

import json

import numpy as np
import processes
import pytest

from learning_gan.core.backend import keras, tf
from learning_gan.parts import recipes
from learning_gan.parts.discriminator import logits_of
from learning_gan.parts.recipes import recipe
from learning_gan.run.little_data import AugmentedGAN, augment
from learning_gan.run.training import build_model, train

RNG = np.random.default_rng(0)
SIDE, N = 16, 400
IMAGES = (1 + RNG.permuted(np.tile(np.arange(512.0), (N, 1)), axis=1)).reshape(N, SIDE, SIDE, 2) / 512
IMAGES = IMAGES.astype(np.float32)  # no two pixels alike, and none grey
U = RNG.uniform(-1, 1, (N, 4)).astype(np.float32)


def model(**changes):
    return build_model(recipe(model="augmented", g_hidden_size=4, d_hidden_size=4, **changes), 0)


def test_each_pixel_is_moved_alike_or_grey():
    for image, found in zip(IMAGES, augment(tf.constant(IMAGES), tf.constant(U)).numpy(), strict=True):
        here = np.argwhere(found[..., 0])
        by = here - [np.argwhere(image[..., 0] == found[r, c, 0])[0] for r, c in here]
        assert (by == by[0]).all() and np.abs(by).max() <= SIDE / 8
        (row, column), moved = by[0], np.zeros_like(image)
        rows, columns = (slice(max(0, d), SIDE + min(0, d)) for d in (row, column))
        from_rows, from_columns = (slice(max(0, -d), SIDE - max(0, d)) for d in (row, column))
        moved[rows, columns] = image[from_rows, from_columns]
        hole = np.argwhere((found != moved).any(axis=2))
        if len(hole):
            (top, left), (bottom, right) = hole.min(axis=0), hole.max(axis=0)
            assert max(bottom - top, right - left) < SIDE / 2
            assert not found[top : bottom + 1, left : right + 1].any()


def test_every_move_is_as_likely_and_so_is_every_place_of_the_hole():
    numbered = np.tile(1 + np.arange(256, dtype=np.float32).reshape(1, SIDE, SIDE, 1), (10_000, 1, 1, 1))
    u = RNG.uniform(-1, 1, (10_000, 4)).astype(np.float32)
    moved = augment(numbered, tf.constant(u * [1, 1, 0, 0] - [0, 0, 1, 1], tf.float32)).numpy()
    sources, often = np.unique(
        moved[:, 12, 12, 0], return_counts=True
    )  # far from the hole, which is in a corner
    assert len(sources) == 25 and np.abs(often / 10_000 - 1 / 25).max() < 0.01
    cut = augment(numbered, tf.constant(u * [0, 0, 1, 1], tf.float32)).numpy()[..., 0]
    places = np.arange(SIDE)[:, None] - np.arange(SIDE + 1) + SIDE // 4
    covered = ((places >= 0) & (places < SIDE // 2)).mean(axis=1)
    np.testing.assert_allclose((cut == 0).mean(axis=0), np.outer(covered, covered), atol=0.02)


def test_it_can_be_differentiated_twice():
    x = tf.constant(IMAGES[:3])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = tf.reduce_sum(augment(x, tf.constant(U[:3])) ** 3)
        slope = inner.gradient(value, x)
    kept = (augment(tf.ones_like(x), tf.constant(U[:3])).numpy() > 0).sum()
    assert (slope.numpy() > 0).sum() == kept
    assert (outer.gradient(slope, x).numpy() > 0).sum() == kept


def test_real_and_fake_images_of_an_update_are_moved_alike_and_each_update_otherwise():
    gan, images = model(), tf.constant(RNG.uniform(0.1, 1, (20, 28, 28, 1)), tf.float32)
    first = gan.augmented(images).numpy()
    np.testing.assert_array_equal(gan.augmented(images), first)
    np.testing.assert_array_equal(gan.augmented(-images), -first)
    gan.updates.assign(1)
    assert not np.array_equal(gan.augmented(images), first)
    gan.updates.assign(0)
    np.testing.assert_array_equal(gan.augmented(images), first)
    gan.seed = 1
    assert not np.array_equal(gan.augmented(images), first)


def test_what_is_measured_is_not_augmented():
    gan, images = model(), tf.constant(RNG.uniform(-1, 1, (20, 28, 28, 1)), tf.float32)
    seen = gan.critic(images, training=False)
    np.testing.assert_array_equal(seen, logits_of(gan.discriminator(images)))
    assert not np.allclose(seen, gan.critic(images))


def test_a_run_is_resumed_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(AugmentedGAN, "compiles_well", lambda self: False)
    monkeypatch.setattr(recipes, "EPOCH_IMAGES", 200)
    data, small = RNG.integers(0, 256, (50, 28, 28, 1), np.uint8), dict(g_hidden_size=2, d_hidden_size=2)
    short, long = (recipe(model="augmented", loss="r3", batch_size=50, epochs=n, **small) for n in (1, 2))
    train(long, data, tmp_path / "whole", verbose=False)
    train(short, data, tmp_path / "parts", verbose=False)
    train(long, data, tmp_path / "parts", verbose=False)
    for file in ("history.csv", "checkpoints/epoch_00002.npz"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes(), file
    assert json.loads((tmp_path / "parts" / "config.json").read_text())["recipe"]["model"] == "augmented"


def test_networks_that_take_rows_of_pixels_are_refused_in_a_line():
    z, x = keras.Input((3,)), keras.Input((784,))
    networks = keras.Model(z, keras.layers.Dense(784)(z)), keras.Model(x, keras.layers.Dense(1)(x))
    with pytest.raises(ValueError, match=r"needs images \[height, width, channels\].*\(784,\)"):
        AugmentedGAN(*networks)


def test_another_name_is_refused_in_a_line(tmp_path):
    said = processes.refused(
        "train", "--out", tmp_path / "no", "--data", "embedded", "--model", "augment", prepare=None
    )
    assert "unknown model 'augment': choose augmented or" in said and not (tmp_path / "no").exists()
