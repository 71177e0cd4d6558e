"""The scorecard's measures against independent implementations: prdc, scipy, and formulas written out."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import processes
import pytest
from prdc import compute_prdc
from scipy import stats
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from learning_gan.core.backend import keras
from learning_gan.measure import measures
from learning_gan.measure.measures import RULER_IMAGES, describe
from learning_gan.measure.scoring import Reference, score
from learning_gan.parts.data import load_mnist

rng = np.random.default_rng(20_170_701)


@pytest.fixture(scope="module")
def digit_features(digits):
    "Features of 500 test images, of 700 training images, and of 600 noisy ones, a few of them far out."
    noisy = np.clip(digits.train.images[:600] + rng.normal(0, 60, (600, 28, 28, 1)), 0, 255)
    noisy[:20] = rng.uniform(0, 255, (20, 28, 28, 1))
    sets = digits.test.images, digits.train.images[1_000:1_700], noisy.astype(np.uint8)
    return [describe(images)[0] for images in sets]


def gaussian_features(n, d, scale, shift):
    "Correlated features: a random covariance with standard deviations from 1 to `scale`."
    mixing = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.linspace(1, scale, d)
    return rng.normal(size=(n, d)) @ mixing.T + shift


def frechet_by_sqrtm(x, y):
    "Heusel et al. 2017, equation 6, to the letter."
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = sqrtm(cov_x @ cov_y)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x + cov_y - 2 * root.real)


def test_frechet_equals_scipys_sqrtm(digit_features):
    test, train, noisy = digit_features
    pairs = [(test, train), (test, noisy)]
    for d, scale, shift in [(2, 1, 0), (10, 3, 0.1), (84, 10, 1), (84, 100, 0)]:
        pairs.append((gaussian_features(900, d, scale, 0), gaussian_features(700, d, scale, shift)))
    for x, y in pairs:
        assert measures.frechet_distance(x, y) == pytest.approx(frechet_by_sqrtm(x, y), rel=1e-6)


def test_frechet_ignores_dead_and_counts_repeated_features():
    x, y = gaussian_features(900, 20, 5, 0), gaussian_features(700, 20, 5, 0.5)
    expected = frechet_by_sqrtm(x, y)

    def dead(z):
        return np.hstack([z, np.zeros((len(z), 30)), np.full((len(z), 5), 7.0)])

    assert measures.frechet_distance(dead(x), dead(y)) == pytest.approx(expected, rel=1e-9)
    assert measures.frechet_distance(np.tile(x, 3), np.tile(y, 3)) == pytest.approx(3 * expected, rel=1e-9)


def test_frechet_with_fewer_images_than_features():
    x, y = gaussian_features(12, 40, 5, 0), gaussian_features(15, 40, 5, 1)
    basis = np.linalg.qr(np.vstack([x, y]).T)[0]  # all 27 points lie in 27 dimensions
    expected = measures.frechet_distance(x @ basis, y @ basis)
    assert measures.frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    # a feature that only one side has: its variance and its squared mean are added
    own = rng.normal(3, 2, 15)
    more = measures.frechet_distance(np.c_[x, np.zeros(12)], np.c_[y, own]) - expected
    assert more >= own.mean() ** 2


def test_mmd2_equals_its_definition_pair_by_pair():
    x, y = rng.normal(size=(7, 5)), rng.normal(1, 2, size=(9, 5))

    def mean_k(a, b, skip=False):
        k = [(sum(p * q for p, q in zip(u, v, strict=True)) / 5 + 1) ** 3
             for i, u in enumerate(a) for j, v in enumerate(b) if not (skip and i == j)]  # fmt: skip
        return sum(k) / len(k)

    expected = mean_k(x, x, skip=True) + mean_k(y, y, skip=True) - 2 * mean_k(x, y)
    assert measures.mmd2(x, y) == pytest.approx(expected, rel=1e-12)


def test_kid_is_the_mean_and_student_interval_of_ten_groups(digit_features):
    test, train, _ = digit_features
    values = [measures.mmd2(test[i * 50 : i * 50 + 50], train[i * 70 : i * 70 + 70]) for i in range(10)]
    value, interval = measures.kid(test, train)
    low, high = stats.t.interval(0.95, 9, loc=np.mean(values), scale=stats.sem(values))
    assert value == pytest.approx(np.mean(values), rel=1e-9)
    assert interval == pytest.approx((low, high), rel=1e-9)


def test_neighbour_scores_equal_prdc(digit_features):
    test, train, noisy = digit_features
    cases = [(test, train, 5), (test, noisy, 5), (noisy, test, 3)]
    for n, m, d in [(50, 50, 2), (700, 600, 84), (1_203, 17, 5)]:
        real, fake = rng.normal(size=(n, d)), rng.normal(0.3, 1.2, size=(m, d))
        fake[:3] += 5
        cases += [(real, fake, k) for k in (1, 3, 5, 10)]
    for real, fake, k in cases:
        expected = {name: float(value) for name, value in compute_prdc(real, fake, nearest_k=k).items()}
        assert measures.neighbour_scores(real, fake, k) == pytest.approx(expected, abs=1e-6)
    radii = measures.neighbour_radii(test)  # known before
    assert measures.neighbour_scores(test, train, real_radii=radii) == measures.neighbour_scores(test, train)


def test_classifier_score_and_histograms_equal_scipys_entropy():
    probabilities = rng.dirichlet(np.full(10, 0.2), size=500)
    probabilities[0] = np.eye(10)[3]
    expected = np.exp(np.mean([stats.entropy(p, probabilities.mean(axis=0)) for p in probabilities]))
    assert measures.classifier_score(probabilities) == pytest.approx(expected, rel=1e-12)
    p, q = rng.dirichlet(np.ones(10)), rng.dirichlet(np.ones(10))
    p[2], p[3] = 0, p[2] + p[3]
    assert measures.histogram_kl(p, q) == pytest.approx(stats.entropy(p, q), rel=1e-12)


def test_nearest_training_images_equal_scipys_cdist_and_partial_copying_is_seen(digits):
    images, training = digits.test.images[:60], digits.train.images
    all_distances = cdist(*[pixels.reshape(-1, 784) / 127.5 - 1 for pixels in (images, training)])
    distances, index = measures.nearest_training_images(images, training)
    assert distances == pytest.approx(all_distances.min(axis=1), rel=1e-5)
    assert index.tolist() == all_distances.argmin(axis=1).tolist()
    held_out, _ = measures.nearest_training_images(digits.test.images, training)
    fresh, _ = measures.nearest_training_images(digits.validation.images, training)
    assert measures.memorisation(fresh, held_out) < 0.15
    assert measures.memorisation(np.r_[fresh[:400], np.zeros(100)], held_out) > 0.2


def test_interval_of_a_share_equals_scipys():
    for count, n in [(10, 10), (0, 52), (47, 52), (1, 300), (0, 1)]:
        expected = stats.binomtest(count, n).proportion_ci(0.95, method="exact")
        assert measures.share_interval(count, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_seed_decides_the_shuffles(digits):
    images = digits.validation.images[:200]
    first, again, other = (Reference(digits, 200, seed) for seed in (0, 0, 1))
    assert score(images, first) == score(images, again)
    assert first.real != other.real


def float64() -> None:
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


SETTINGS = [
    None,
    float64,
    partial(keras.config.set_floatx, "float16"),
    partial(keras.config.set_dtype_policy, "mixed_bfloat16"),
    partial(keras.config.set_image_data_format, "channels_first"),
]


def hash_what_is_seen() -> None:
    seen = describe(load_mnist("embedded").test.images)
    print(*(hashlib.sha256(array.tobytes()).hexdigest() for array in seen))


def test_the_ruler_has_the_same_bits_whatever_the_settings_of_keras():
    found = [processes.succeed(hash_what_is_seen, prepare=settings) for settings in SETTINGS]
    assert len(found[0].split()) == 2 and set(found) == {found[0]}


@pytest.mark.long
def test_the_classifier_has_hardly_seen_the_embedded_digits(digits, whole_mnist):
    learnt = {image.tobytes() for image in whole_mnist.train.images[:RULER_IMAGES]}
    parts = digits.train, digits.validation, digits.test
    assert [sum(image.tobytes() in learnt for image in part.images) for part in parts] == [0, 16, 133]


def score_10_000() -> None:
    data = load_mnist("mnist")
    score(data.train.images[:10_000], Reference(data, 10_000))
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(line for line in status if line.startswith("VmHWM")).split()[1])


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_scoring_10_000_against_10_000_stays_below_2_gb(whole_mnist):
    assert int(processes.succeed(score_10_000)) < 2_000_000  # kB
