"""The scorecard's measures against independent implementations: prdc, scipy, and formulas written out."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prdc import compute_prdc
from scipy import stats
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from learning_gan.measure import measures
from learning_gan.measure.ruler import RULER_IMAGES, describe
from learning_gan.measure.scoring import Reference, score
from learning_gan.parts.data import load_mnist

rng = np.random.default_rng(20_170_701)


@pytest.fixture(scope="module")
def embedded():
    return load_mnist("embedded")


@pytest.fixture(scope="module")
def digit_features(embedded):
    "Features of 500 test images, of 700 training images, and of 600 noisy ones, a few of them far out."
    noisy = np.clip(embedded.train.images[:600] + rng.normal(0, 60, (600, 28, 28, 1)), 0, 255)
    noisy[:20] = rng.uniform(0, 255, (20, 28, 28, 1))
    sets = embedded.test.images, embedded.train.images[1_000:1_700], noisy.astype(np.uint8)
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


# Fréchet distance


@pytest.mark.parametrize(("d", "scale", "shift"), [(2, 1, 0), (10, 3, 0.1), (84, 10, 1), (84, 100, 0)])
def test_frechet_equals_scipys_sqrtm(d, scale, shift):
    x, y = gaussian_features(900, d, scale, 0), gaussian_features(700, d, scale, shift)
    assert measures.frechet_distance(x, y) == pytest.approx(frechet_by_sqrtm(x, y), rel=1e-6)


def test_frechet_equals_scipys_sqrtm_on_digits(digit_features):
    test, train, noisy = digit_features
    for other in (train, noisy):
        assert measures.frechet_distance(test, other) == pytest.approx(
            frechet_by_sqrtm(test, other), rel=1e-6
        )


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


# KID


def test_mmd2_equals_its_definition_pair_by_pair():
    x, y = rng.normal(size=(7, 5)), rng.normal(1, 2, size=(9, 5))

    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / 5 + 1) ** 3

    within_x = sum(k(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    within_y = sum(k(y[i], y[j]) for i in range(9) for j in range(9) if i != j) / (9 * 8)
    across = sum(k(a, b) for a in x for b in y) / (7 * 9)
    assert measures.mmd2(x, y) == pytest.approx(within_x + within_y - 2 * across, rel=1e-12)


def test_kid_is_the_mean_and_student_interval_of_ten_groups(digit_features):
    test, train, _ = digit_features
    values = [measures.mmd2(test[i * 50 : i * 50 + 50], train[i * 70 : i * 70 + 70]) for i in range(10)]
    value, interval = measures.kid(test, train)
    low, high = stats.t.interval(0.95, 9, loc=np.mean(values), scale=stats.sem(values))
    assert value == pytest.approx(np.mean(values), rel=1e-9)
    assert interval == pytest.approx((low, high), rel=1e-9)


# Precision, recall, density, coverage


@pytest.mark.parametrize("k", [1, 3, 5, 10])
@pytest.mark.parametrize(("n", "m", "d"), [(50, 50, 2), (700, 600, 84), (1_203, 17, 5)])
def test_neighbour_scores_equal_prdc(n, m, d, k):
    real, fake = rng.normal(size=(n, d)), rng.normal(0.3, 1.2, size=(m, d))
    fake[:3] += 5
    check_against_prdc(real, fake, k)


def test_neighbour_scores_equal_prdc_on_digits(digit_features):
    test, train, noisy = digit_features
    check_against_prdc(test, train, 5)
    check_against_prdc(test, noisy, 5)
    check_against_prdc(noisy, test, 3)


def check_against_prdc(real, fake, k):
    expected = compute_prdc(real, fake, nearest_k=k)
    ours = measures.neighbour_scores(real, fake, k)
    assert ours == pytest.approx({name: float(value) for name, value in expected.items()}, abs=1e-6)


def test_known_radii_give_the_same_scores(digit_features):
    test, train, _ = digit_features
    radii = measures.neighbour_radii(test)
    assert measures.neighbour_scores(test, train, real_radii=radii) == measures.neighbour_scores(test, train)


# The rest


def test_classifier_score_equals_scipys_entropy():
    probabilities = rng.dirichlet(np.full(10, 0.2), size=500)
    probabilities[0] = np.eye(10)[3]
    marginal = probabilities.mean(axis=0)
    expected = np.exp(np.mean([stats.entropy(p, marginal) for p in probabilities]))
    assert measures.classifier_score(probabilities) == pytest.approx(expected, rel=1e-12)


def test_histogram_kl_equals_scipys_entropy():
    p, q = rng.dirichlet(np.ones(10)), rng.dirichlet(np.ones(10))
    p[2], p[3] = 0, p[2] + p[3]
    assert measures.histogram_kl(p, q) == pytest.approx(stats.entropy(p, q), rel=1e-12)


def test_nearest_training_images_equal_scipys_cdist(embedded):
    images, training = embedded.test.images[:60], embedded.train.images
    flat = [pixels.reshape(-1, 784) / 127.5 - 1 for pixels in (images, training)]
    all_distances = cdist(*flat)
    distances, index = measures.nearest_training_images(images, training)
    assert distances == pytest.approx(all_distances.min(axis=1), rel=1e-5)
    assert index.tolist() == all_distances.argmin(axis=1).tolist()


def test_memorisation_sees_partial_copying(embedded):
    held_out, _ = measures.nearest_training_images(embedded.test.images, embedded.train.images)
    fresh, _ = measures.nearest_training_images(embedded.validation.images, embedded.train.images)
    assert measures.memorisation(fresh, held_out) < 0.15
    assert measures.memorisation(np.r_[fresh[:400], np.zeros(100)], held_out) > 0.2


@pytest.mark.parametrize(("count", "n"), [(10, 10), (0, 52), (47, 52), (1, 300), (0, 1)])
def test_interval_of_a_share_equals_scipys(count, n):
    expected = stats.binomtest(count, n).proportion_ci(0.95, method="exact")
    assert measures.share_interval(count, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


# The whole


def without_kid(measured):
    return {key: value for key, value in measured.items() if not key.startswith("kid")}


def test_a_score_does_not_depend_on_the_order_of_the_images(embedded):
    "Sorted by label, reversed, or as they come: intervals of KID overlap, all else is equal."
    digits, reference = embedded.validation[:400], Reference(embedded, 400)
    by_label = digits.labels.argsort(kind="stable")
    scores = [reference.measure(digits.images[order]) for order in (np.arange(400), by_label, by_label[::-1])]
    for found in scores[1:]:
        for name, value in without_kid(scores[0]).items():
            assert found[name] == pytest.approx(value, abs=1e-9), name
    lows, highs = zip(*[score["kid_ci95"] for score in scores], strict=True)
    assert max(lows) < min(highs)


@pytest.mark.parametrize("first", ["copies", "fresh"])
def test_memorisation_looks_at_every_image(embedded, first):
    "Half of the images are copies, wherever they stand."
    copies, fresh = embedded.train.images[:200], embedded.validation.images[:200]
    images = np.concatenate([copies, fresh] if first == "copies" else [fresh, copies])
    assert 0.5 <= Reference(embedded, 400).measure(images)["memorisation"] < 0.6


def test_the_seed_decides_the_shuffles(embedded):
    images = embedded.validation.images[:200]
    first, again, other = (Reference(embedded, 200, seed) for seed in (0, 0, 1))
    assert score(images, first) == score(images, again)
    assert first.real != other.real


def test_data_without_a_ruler_is_refused_in_one_line(embedded):
    with pytest.raises(ValueError, match="no ruler for the data 'kmnist', only for MNIST's 28x28") as raised:
        Reference(replace(embedded, name="kmnist"), 200)
    assert "mnist or embedded" in str(raised.value) and "\n" not in str(raised.value)


# The ruler


SETTINGS = {
    "as they are": "",
    "float64": "keras.config.set_floatx('float64'); keras.config.set_dtype_policy('float64')",
    "floatx alone": "keras.config.set_floatx('float16')",
    "mixed_bfloat16": "keras.config.set_dtype_policy('mixed_bfloat16')",
    "channels_first": "keras.config.set_image_data_format('channels_first')",
}
DESCRIBE = """
import hashlib, keras
{settings}
from learning_gan.parts.data import load_mnist
from learning_gan.measure.ruler import describe
seen = describe(load_mnist("embedded").test.images)
print(*(hashlib.sha256(array.tobytes()).hexdigest() for array in seen))
"""


@pytest.mark.slow
def test_the_ruler_has_the_same_bits_whatever_the_settings_of_keras():
    "Each in a process of its own."

    def hashes(settings):
        command = [sys.executable, "-c", DESCRIBE.format(settings=settings)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout

    found = {name: hashes(settings) for name, settings in SETTINGS.items()}
    assert len(found["as they are"].split()) == 2
    assert set(found.values()) == {found["as they are"]}, found


def test_the_classifier_has_hardly_seen_the_embedded_digits(embedded):
    mnist = load_mnist()
    if mnist.name != "mnist":
        pytest.skip("needs the whole MNIST")
    learnt = {image.tobytes() for image in mnist.train.images[:RULER_IMAGES]}
    parts = embedded.train, embedded.validation, embedded.test
    assert [sum(image.tobytes() in learnt for image in part.images) for part in parts] == [0, 16, 133]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_scoring_10_000_against_10_000_stays_below_2_gb():
    try:
        load_mnist("mnist")
    except Exception as error:
        pytest.skip(f"needs the whole MNIST: {error}")
    script = (
        "from learning_gan.parts.data import load_mnist\n"
        "from learning_gan.measure.scoring import Reference, score\n"
        "data = load_mnist('mnist')\n"
        "score(data.train.images[:10_000], Reference(data, 10_000))\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=600
    )
    assert int(done.stdout) < 2_000_000  # kB
