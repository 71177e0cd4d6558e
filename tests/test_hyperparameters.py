"""Whatever is given for a hyperparameter, in Python or on the command line, is kept exactly or refused by name."""

import math
import sys
from dataclasses import asdict, fields
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import victims
from hypothesis import given, settings
from hypothesis import strategies as st

from learning_gan.parts import data, images
from learning_gan.parts.recipes import RECIPES, HyperParameters, check_seed, recipe
from learning_gan.run import training

STEADY = settings(deadline=None, derandomize=True, database=None, max_examples=200)
FEW = settings(STEADY, max_examples=100)
NUMBERS = {field.name: field for field in fields(HyperParameters) if field.type is not str}
NAMES = {name: field.type for name, field in NUMBERS.items()}
LIMITS = {name: (field.metadata["low"], field.metadata["high"]) for name, field in NUMBERS.items()}
WHOLE = [name for name, kind in NAMES.items() if kind is int]
FRACTIONAL = [name for name, kind in NAMES.items() if kind is float]


def near(*numbers: float) -> st.SearchStrategy:
    "Numbers right below, at and right above some."
    steps = [math.nextafter(n, way) for n in numbers for way in (-math.inf, math.inf)]
    return st.sampled_from([*numbers, *steps])


def inside(name: str) -> st.SearchStrategy:
    "What is allowed: the ends and all between them, as Python's numbers or as NumPy's."
    low, high = LIMITS[name]
    if NAMES[name] is int:
        numbers = st.integers(low, high) | st.sampled_from([low, high])
        return numbers | numbers.map(np.int64) | numbers.map(np.int32)
    numbers = st.floats(low, high) | near(low, high).filter(lambda x: low <= x <= high)
    whole = st.integers(math.ceil(low), math.floor(high))
    return numbers | numbers.map(np.float64) | numbers.map(Fraction) | whole


def outside(name: str) -> st.SearchStrategy:
    "Numbers that are not allowed."
    low, high = LIMITS[name]
    if NAMES[name] is int:
        numbers = (
            st.integers(max_value=low - 1) | st.integers(high + 1) | st.sampled_from([low - 1, high + 1])
        )
        return numbers | st.floats() | numbers.filter(lambda n: abs(n) < 2**63).map(np.int64)
    numbers = (st.floats() | near(low, high)).filter(lambda x: not low <= x <= high)
    return numbers | numbers.map(np.float64) | st.integers(math.floor(high) + 1) | st.integers(max_value=-1)


NO_NUMBERS = st.one_of(
    st.none(),
    st.booleans(),
    st.booleans().map(np.bool_),
    st.text(max_size=9),
    st.binary(max_size=9),
    st.complex_numbers(),
    st.decimals().map(Decimal),
    st.lists(st.integers(1, 9)),
    st.integers(1, 9).map(np.array),
    st.just(object()),
    st.just(int),
)


def is_no_index(value) -> bool:
    "Some arrays of one number are as good as the number."
    return not (isinstance(value, np.ndarray) and value.ndim == 0)


ONE_INSIDE = st.sampled_from(list(NAMES)).flatmap(lambda name: st.tuples(st.just(name), inside(name)))
ONE_OUTSIDE = st.sampled_from(list(NAMES)).flatmap(
    lambda name: st.tuples(st.just(name), outside(name) | NO_NUMBERS)
)
ALL_INSIDE = st.fixed_dictionaries({}, optional={name: inside(name) for name in NAMES})


def test_every_default_is_within_its_limits_and_has_a_line_of_help():
    for name, field in NUMBERS.items():
        assert LIMITS[name][0] <= field.default <= LIMITS[name][1]
    assert all(field.metadata["help"] for field in fields(HyperParameters))


@pytest.mark.parametrize("value", ["", "MLP", None, 3, ["mlp"], "learning_gan.parts.networks:mlp"])
@pytest.mark.parametrize("name", ["architecture", "loss"])
def test_a_choice_that_is_not_registered_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^unknown {name} .*: choose "):
        HyperParameters(**{name: value})


def test_every_named_recipe_is_in_order():
    assert all(recipe(name).epochs for name in RECIPES) and recipe("post") == HyperParameters()


@STEADY
@given(given_ones=ALL_INSIDE)
def test_what_is_within_the_limits_is_kept_exactly_as_a_plain_number(given_ones):
    kept = asdict(HyperParameters(**given_ones))
    assert kept == asdict(HyperParameters()) | given_ones
    assert all(type(kept[name]) is kind for name, kind in NAMES.items())
    assert HyperParameters(**kept) == HyperParameters(**given_ones)


@STEADY
@given(pair=ONE_OUTSIDE)
def test_what_is_not_is_refused_by_name_and_limits(pair):
    name, value = pair
    with pytest.raises(ValueError, match=f"^{name} must be a (whole )?number from ") as caught:
        HyperParameters(**{name: value})
    assert all(f"{limit:,}" in str(caught.value) for limit in LIMITS[name])


@STEADY
@given(seed=st.integers(0, 2**63 - 1) | st.sampled_from([0, 2**63 - 1]))
def test_a_seed_within_its_limits_is_kept_as_a_plain_number(seed):
    assert check_seed(seed) is seed
    kept = check_seed(np.int64(seed))
    assert kept == seed and type(kept) is int


@STEADY
@given(seed=st.integers(max_value=-1) | st.integers(2**63) | st.floats() | NO_NUMBERS.filter(is_no_index))
def test_any_other_seed_is_refused(seed):
    with pytest.raises(ValueError, match="seed must be a whole number from 0"):
        check_seed(seed)


# On the command line


SMALL = images.as_dataset(np.zeros((2, 28, 28), np.uint8))


class Trained(Exception):
    "The command has come as far as the training."


@pytest.fixture
def command(monkeypatch):
    "The training command, as a function of its words; what it would train comes back."

    def train(hp, data, out, seed, *_, **__):
        raise Trained(hp, seed)

    def run(*words: str):
        with pytest.raises(Trained) as caught:
            victims.command("train", ["--out", "nowhere", *words])
        return caught.value.args

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(data, "load_mnist", lambda *_: SMALL)
    monkeypatch.setattr(sys, "argv", sys.argv)
    return run


def test_a_flag_within_the_limits_is_kept_exactly(command):
    @FEW
    @given(given_ones=ALL_INSIDE, seed=st.integers(0, 2**63 - 1))
    def keep(given_ones, seed):
        plain = {name: NAMES[name](value) for name, value in given_ones.items()}
        words = [f"--{name}={value!r}" for name, value in plain.items()]
        assert command(*words, f"--seed={seed}") == (HyperParameters(**plain), seed)

    keep()


def refused(capsys, word: str) -> tuple[int, str]:
    "The exit status, and the last line on standard error."
    with pytest.raises(SystemExit) as end:
        victims.command("train", ["--out", "nowhere", "--data", "embedded", word])
    said = capsys.readouterr()
    assert said.out == ""
    if isinstance(end.value.code, str):  # Python prints it, and the status is 1
        assert said.err == ""
        return 1, end.value.code
    return end.value.code, said.err.splitlines()[-1]


FLAG = st.sampled_from(list(NAMES)).flatmap(
    lambda name: st.tuples(
        st.just(name), outside(name).map(NAMES[name]) if NAMES[name] is float else outside(name)
    )
)


def test_a_flag_out_of_the_limits_is_refused_in_one_line(command, capsys):
    @FEW
    @given(flag=FLAG)
    def refuse(flag):
        name, value = flag
        status, line = refused(capsys, f"--{name}={value}")
        assert status in (1, 2) and name in line and "\n" not in line
        assert line.startswith(("learning_gan_train: ", "learning_gan_train: error: "))

    refuse()


@pytest.mark.parametrize("name", [*NAMES, "seed"])
@pytest.mark.parametrize("word", ["", "many", "1,5", "0x10", "\x1b[2J", "1e", "nan5", "None", "٣x"])
def test_a_flag_that_is_no_number_is_a_wrong_call(command, capsys, name, word):
    status, line = refused(capsys, f"--{name}={word}")
    assert status == 2 and line.startswith("learning_gan_train: error: ") and name in line


@pytest.mark.parametrize("seed", ["-1", str(2**63), "9" * 4_000])
def test_a_seed_out_of_its_limits_is_refused_in_one_line(capsys, tmp_path, monkeypatch, seed):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "load_mnist", lambda *_: SMALL)
    monkeypatch.setattr(sys, "argv", sys.argv)
    status, line = refused(capsys, f"--seed={seed}")
    assert status == 1 and line.startswith("learning_gan_train: seed must be a whole number from 0")
    assert list(tmp_path.iterdir()) == []
