"""Hangul: the data are as pinned, a run is trained, resumed and sampled with a text, and what cannot be is one line."""

import numpy as np
import processes
import pytest
from PIL import Image

from learning_gan.core.backend import keras
from learning_gan.parts import recipes
from learning_gan.parts.data import DataError, load_mnist
from learning_gan.parts.syllables import FONTS, HANGUL_SHA256, codes_of, fonts, letters_of, split, text_of
from learning_gan.run.hangul import build_hangul
from studies import hangul

SMALL = ["--g_hidden_size", 2, "--d_hidden_size", 2, "--batch_size", 64, "--decay", 0]


def short_epochs():
    recipes.EPOCH_IMAGES = 64 * 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "A run of two epochs, two updates each."
    out = tmp_path_factory.mktemp("hangul") / "run"
    words = ["train", "--recipe", "hangul", "--out", out, *SMALL, "--epochs"]
    assert processes.succeed(*words, 1, prepare=short_epochs).count("Epoch ") == 1
    processes.succeed(*words, 2, prepare=short_epochs)
    return out


def test_letters_and_syllables_are_one_arithmetic():
    whole = np.arange(11_172)
    assert np.array_equal(codes_of(text_of(whole)), whole)
    initial, vowel, final = letters_of(whole).T
    assert np.array_equal((initial * 21 + vowel) * 28 + final, whole)


def test_the_data_are_the_pinned_ones_and_unseen_syllables_are_nowhere_in_training():
    data, (seen, unseen) = load_mnist("hangul"), split()
    assert data.sha256 == HANGUL_SHA256 and data.image_shape == (32, 32, 1)
    assert (len(data.train), len(data.test)) == (16 * 2_105, 16 * 245)
    assert not set(data.train.labels) & set(data.test.labels) and set(data.test.labels) == set(unseen)
    assert np.array_equal(np.bincount(data.train.styles), [len(seen)] * len(FONTS))
    pairs = {(a, b): {tuple(x) for x in letters_of(seen)[:, [a, b]]} for a, b in ((0, 1), (1, 2), (0, 2))}
    assert all(tuple(x) in known for ab, known in pairs.items() for x in letters_of(unseen)[:, list(ab)])


def test_a_resumed_run_has_the_bits_of_one_that_was_not_interrupted(run, tmp_path):
    words = ["train", "--recipe", "hangul", "--out", tmp_path / "once", *SMALL, "--epochs", 2]
    processes.succeed(*words, prepare=short_epochs)
    for name in ("samples.npz", "checkpoints/epoch_00002.npz"):
        with np.load(run / name) as one, np.load(tmp_path / "once" / name) as other:
            assert one.files == other.files and all(np.array_equal(one[key], other[key]) for key in one.files)


MANNERS = {"one": ["--style", 3], "many": ["--n", 5, "--average"], "way": ["--between", 0, 3, "--n", 4]}


def test_a_text_is_drawn_in_one_style_in_many_and_between_two(run, tmp_path):
    out, npz, drawn = tmp_path / "h.png", tmp_path / "h.npz", {}
    for name, more in MANNERS.items():
        processes.succeed("sample", "--run", run, "--text", "뷁꿹쑗", "--out", out, "--npz", npz, *more)
        with np.load(npz) as file:
            drawn[name] = file["samples"]
    assert [len(images) for images in drawn.values()] == [3, 15, 12] and Image.open(out).size[0] > 96
    np.testing.assert_allclose(drawn["way"][-3:], drawn["one"], atol=1e-4)


def test_what_cannot_be_drawn_is_one_line(run, tmp_path):
    for more, why in [
        (["--text", "abc"], "no Hangul syllable"),
        (["--text", ""], "the text is empty"),
        (["--text", "한", "--style", 1_000], "from 0 to 999"),
        (["--style", 3], "give it with --text"),
    ]:
        assert why in processes.refused("sample", "--run", run, "--out", tmp_path / "x.png", *more)


def test_fonts_of_ones_own_are_looked_for_and_at(tmp_path):
    for why in ("needs a folder with TTF", "cannot be read as a font"):
        with pytest.raises(DataError, match=why):
            fonts(tmp_path)
        (tmp_path / "a.ttf").write_bytes(b"no font")


def test_the_weight_of_the_reading_loss_rises_while_the_rate_falls_also_after_a_loaded_file(tmp_path):
    hp = recipes.recipe("hangul", g_hidden_size=2, d_hidden_size=2, rise=3, decay=0.5, epochs=1)
    model = build_hangul(hp, seed=0)
    model.save(tmp_path / "model.keras")
    for one in (model, keras.models.load_model(tmp_path / "model.keras")):
        for share, weight in ((0, 0.3), (0.5, 0.3), (0.75, 0.6), (1, 0.9)):
            one.g_optimizer.iterations.assign(round(share * hp.updates_per_epoch))
            assert float(one.weight()) == pytest.approx(weight, abs=0.002)


def test_a_recipe_is_chosen_by_the_goals_that_it_reaches_and_names_the_arm():
    floor = dict.fromkeys(("joint_unseen", "keeps", "frechet_unseen", "frechet_seen", "memorisation"), 1.0)
    run = floor | {"styles": 16, "floor": floor | {"styles": 16}}
    runs = {
        ("explore/plain", 100): run | {"keeps": 0.7, "joint_unseen": 0.99},
        ("explore/styled", 100): run | {"joint_unseen": 0.98},  # one goal more
        ("explore/rising", 100): run | {"joint_unseen": 0.97},  # as many, and less
        ("z/plain", 0): run,
        ("z/styled", 0): run,
    }
    runs = {(cell, seed): {"cell": cell, "seed": seed} | run for (cell, seed), run in runs.items()}
    kept = hangul.pack(runs, {})
    assert kept["chosen"] == "styled" and hangul.unpack(kept) == runs
    assert [one["arm"] for one in kept["runs"]] == [*[cell for cell, _ in runs][:4], "z"]


def test_with_letters_of_other_syllables_nothing_unseen_is_shown():
    told, (seen, unseen) = hangul.other_letters(), split()
    assert set(told[seen]) == set(seen) and set(told[unseen]) == set(unseen)
    assert (letters_of(told[unseen]) == letters_of(unseen)).all(axis=1).mean() < 0.05
    apart = hangul.kept_apart()
    assert not set(apart.test.labels) & {*apart.train.labels, *unseen} and len(set(apart.test.labels)) == 245
