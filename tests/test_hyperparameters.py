"""Whatever is given for a hyperparameter, in Python or on the command line, is kept exactly or refused by name."""

import math
import sys
from dataclasses import asdict, fields
from decimal import Decimal
from fractions import Fraction

import numpy as np
import processes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning_gan.parts import data, images
from learning_gan.parts.recipes import RECIPES, HyperParameters, check_seed, recipe
from learning_gan.run import training

STEADY = settings(deadline=None, derandomize=True, database=None, max_examples=100)
NUMBERS = {field.name: field for field in fields(HyperParameters) if field.type is not str}
NAMES = {name: field.type for name, field in NUMBERS.items()}
LIMITS = {name: (field.metadata["low"], field.metadata["high"]) for name, field in NUMBERS.items()}
SEEDS = st.integers(0, 2**63 - 1) | st.sampled_from([0, 2**63 - 1])


def near(low: float, high: float):
    "The ends, and the numbers next to them."
    ways = -math.inf, math.inf
    return st.sampled_from([low, high, *(math.nextafter(n, way) for n in (low, high) for way in ways)])


def inside(name: str):
    "What is allowed: the ends and all between them, as Python's numbers or as NumPy's."
    low, high = LIMITS[name]
    whole = st.integers(math.ceil(low), math.floor(high))
    if NAMES[name] is int:
        return whole | st.sampled_from([low, high]) | whole.map(np.int64) | whole.map(np.int32)
    numbers = st.floats(low, high) | near(low, high).filter(lambda x: low <= x <= high)
    return numbers | numbers.map(np.float64) | numbers.map(Fraction) | whole


def outside(name: str):
    "Numbers that are not allowed."
    low, high = LIMITS[name]
    if NAMES[name] is int:
        ends = st.sampled_from([low - 1, high + 1])
        numbers = st.integers(max_value=low - 1) | st.integers(high + 1) | ends
        return numbers | st.floats() | numbers.filter(lambda n: abs(n) < 2**63).map(np.int64)
    numbers = (st.floats() | near(low, high)).filter(lambda x: not low <= x <= high)
    return numbers | numbers.map(np.float64) | st.integers(math.floor(high) + 1) | st.integers(max_value=-1)


def of_one(values):
    "A name, and a value for it."
    return st.sampled_from(list(NAMES)).flatmap(lambda name: st.tuples(st.just(name), values(name)))


NO_NUMBERS = st.one_of(
    *(st.none(), st.booleans(), st.booleans().map(np.bool_), st.text(max_size=9), st.binary(max_size=9)),
    *(st.complex_numbers(), st.decimals().map(Decimal), st.lists(st.integers(1, 9))),
    *(st.integers(1, 9).map(lambda n: np.array([n])), st.just(object()), st.just(int)),
)
ALL_INSIDE = st.fixed_dictionaries({}, optional={name: inside(name) for name in NAMES})


def test_defaults_are_within_their_limits_and_have_a_line_of_help_and_recipes_are_in_order():
    for name, field in NUMBERS.items():
        assert LIMITS[name][0] <= field.default <= LIMITS[name][1]
    assert all(field.metadata["help"] for field in fields(HyperParameters))
    assert all(recipe(name).epochs for name in RECIPES) and recipe("post") == HyperParameters()


@pytest.mark.parametrize("name", ["architecture", "loss", "model"])
def test_a_choice_that_is_not_registered_is_refused(name):
    for value in ("", "MLP", None, 3, ["mlp"], "learning_gan.parts.networks:mlp"):
        with pytest.raises(ValueError, match=f"^unknown {name} .*: choose "):
            HyperParameters(**{name: value})


@STEADY
@given(seed=SEEDS, other=st.integers(max_value=-1) | st.integers(2**63) | st.floats() | NO_NUMBERS)
def test_a_seed_is_kept_as_a_plain_number_and_any_other_refused(seed, other):
    assert check_seed(seed) is seed
    kept = check_seed(np.int64(seed))
    assert kept == seed and type(kept) is int
    with pytest.raises(ValueError, match="seed must be a whole number from 0"):
        check_seed(other)


class Trained(Exception):
    "The command has come as far as the training."


@pytest.fixture
def command(monkeypatch, tmp_path):
    "The training command, as a function of its words: what it would train."

    def train(hp, data, out, seed, *_, **__):
        raise Trained(hp, check_seed(seed))

    def run(*words: str):
        with pytest.raises(Trained) as caught:
            processes.command("train", "--out", "nowhere", *words)
        return caught.value.args

    small = images.as_dataset(np.zeros((2, 28, 28), np.uint8))
    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(data, "load_mnist", lambda *_: small)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.chdir(tmp_path)
    yield run
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def refused(command, capsys):
    "The exit status of the command for a word, and its last line on standard error."

    def refused(word: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            processes.command("train", "--out", "nowhere", "--data", "embedded", word)
        said = capsys.readouterr()
        assert said.out == ""
        if isinstance(end.value.code, str):  # Python prints it, and the status is 1
            assert said.err == "" and "\n" not in end.value.code
            return 1, end.value.code
        return end.value.code, said.err.splitlines()[-1]

    return refused


def test_what_is_within_the_limits_is_kept_exactly_as_a_plain_number(command):
    @STEADY
    @given(given_ones=ALL_INSIDE, seed=SEEDS)
    def keep(given_ones, seed):
        hp = HyperParameters(**given_ones)
        kept = asdict(hp)
        assert kept == asdict(HyperParameters()) | given_ones and HyperParameters(**kept) == hp
        assert all(type(kept[name]) is kind for name, kind in NAMES.items())
        words = [f"--{name}={kept[name]!r}" for name in given_ones]
        assert command(*words, f"--seed={seed}") == (hp, seed)

    keep()


def test_what_is_not_is_refused_by_name_and_limits(refused):
    @STEADY
    @given(pair=of_one(lambda name: outside(name) | NO_NUMBERS | st.just(np.array(1))))
    def refuse(pair):
        name, value = pair
        with pytest.raises(ValueError, match=f"^{name} must be a (whole )?number from ") as caught:
            HyperParameters(**{name: value})
        assert all(f"{limit:,}" in str(caught.value) for limit in LIMITS[name])
        if isinstance(value, int | float) and not isinstance(value, bool):  # a word for a flag
            status, line = refused(f"--{name}={NAMES[name](value) if NAMES[name] is float else value}")
            assert status in (1, 2) and name in line
            assert line.startswith(("learning_gan_train: ", "learning_gan_train: error: "))

    refuse()
    for seed in ("-1", str(2**63), "9" * 4_000):
        status, line = refused(f"--seed={seed}")
        assert status == 1 and line.startswith("learning_gan_train: seed must be a whole number from 0")


def test_a_flag_that_is_no_number_is_a_wrong_call(refused):
    for name in (*NAMES, "seed"):
        for word in ("", "many", "1,5", "0x10", "\x1b[2J", "1e", "nan5", "None", "٣x"):
            status, line = refused(f"--{name}={word}")
            assert status == 2 and line.startswith("learning_gan_train: error: ") and name in line
