"""What public reports say goes wrong on the machines of people who are not us: a test of each kind."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import victims
from victims import Victim

from learning_gan.data import load_mnist
from learning_gan.recipe import HyperParameters
from learning_gan.runs import RunError, read_config, read_history
from learning_gan.training import train

SMALL = ["--data", "embedded", "--epochs", "1", "--batch_size", "5500", "--g_hidden_size", "8"]
HP = HyperParameters(epochs=1, batch_size=5_500, g_hidden_size=8)


def script(name: str) -> str:
    return str(Path(sys.executable).with_name(f"learning_gan_{name}"))


def run(name: str, *words, **options) -> subprocess.CompletedProcess:
    "An installed command in a process that starts from nothing."
    command = [script(name), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    "A small finished run."
    out = tmp_path_factory.mktemp("machines") / "run"
    train(HP, load_mnist("embedded"), out, verbose=False)
    return out


# Settings of the user's Keras


SETTINGS = [{"floatx": "float64"}, {"floatx": "float16"}, {"image_data_format": "channels_first"}]


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_settings_of_the_users_keras_change_nothing(finished, bare_env, tmp_path, settings):
    home = Path(bare_env["HOME"]) / ".keras"
    home.mkdir()
    (home / "keras.json").write_text(json.dumps(settings | {"backend": "jax"}))
    done = run("train", "--out", tmp_path / "run", *SMALL, env=bare_env)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("history.csv", "samples.npz", "checkpoints/epoch_00001.npz"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()
    done = run("sample", "--run", tmp_path / "run", "--out", tmp_path / "new.png", env=bare_env)
    assert (done.returncode, done.stderr) == (0, "")


# The environment


def test_a_backend_for_figures_that_is_not_there_stops_nothing(bare_env, finished, tmp_path):
    env = bare_env | {"MPLBACKEND": "module://nowhere.backend_inline"}
    for words in (
        ("train", "--out", tmp_path / "run", *SMALL),
        ("sample", "--run", finished, "--out", tmp_path / "new.png"),
    ):
        done = run(*words, env=env)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("home", [None, "/nowhere/at/all"])
def test_a_user_without_a_home_can_train(bare_env, tmp_path, home):
    env = {name: value for name, value in bare_env.items() if name != "HOME"}
    done = run("train", "--out", tmp_path / "run", *SMALL, env=env | ({"HOME": home} if home else {}))
    assert (done.returncode, done.stderr) == (0, "")


NOBODY = """
import pwd, sys

def getpwuid(uid):
    raise KeyError(uid)

pwd.getpwuid = getpwuid
from learning_gan.cli import train_command
train_command(sys.argv[1:])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a list of users")
def test_a_user_whom_the_system_does_not_know_can_train(bare_env, tmp_path):
    env = {name: value for name, value in bare_env.items() if name not in ("HOME", "USER", "LOGNAME")}
    command, here = [sys.executable, "-c", NOBODY, "--out", "run", *SMALL], tmp_path / "here"
    here.mkdir()
    done = subprocess.run(command, env=env, cwd=here, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in here.iterdir()] == ["run"]  # and no folder named ~


@pytest.mark.parametrize("backend", ["jax", "torch", "nonsense"])
def test_another_backend_of_keras_is_refused_in_the_promised_line(bare_env, finished, tmp_path, backend):
    env = bare_env | {"KERAS_BACKEND": backend}
    done = run("sample", "--run", finished, "--out", tmp_path / "new.png", env=env)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"the backend is '{backend}': set the environment variable KERAS_BACKEND=tensorflow" in done.stderr


def test_importing_us_sets_nothing_for_the_process(bare_env):
    code = "import os; before = dict(os.environ); import learning_gan.training; print(dict(os.environ) == before)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=bare_env, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize("closed", [(2,), (0, 1, 2)])
def test_closed_streams_stop_no_training(tmp_path, closed):
    redirect = " ".join(f"{number}<&-" for number in closed)
    command = shlex.join([script("train"), "--out", str(tmp_path / "run"), *SMALL])
    done = subprocess.run(["bash", "-c", f"{command} {redirect}"], timeout=300)
    assert done.returncode == 0
    assert len(read_history(tmp_path / "run")) == 1 and (tmp_path / "run" / "training.gif").exists()


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path):
    command = shlex.join([script("train"), "--out", str(tmp_path / "run"), *SMALL, "--epochs", "4"])
    shell = f"{command} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
    assert done.stdout.startswith("Epoch 1/4")
    done = run("train", "--out", tmp_path / "run", *SMALL, "--epochs", "4")
    assert done.returncode == 0 and done.stdout.startswith("resuming after epoch")


@pytest.mark.parametrize("year", [1975, 2150])
def test_a_wrong_clock_costs_one_file_and_says_so(tmp_path, year):
    victim = Victim(
        tmp_path, victims.command, "train", ["--out", tmp_path / "run", *SMALL], partial(turn_clock, year)
    )
    assert victim.wait() == 0
    (line,) = victim.err.read_text().splitlines()
    assert "generator.keras was not written" in line and "nothing else is missing" in line
    assert not (tmp_path / "run" / "generator.keras").exists() and (tmp_path / "run" / "samples.npz").exists()


def turn_clock(year: int) -> None:
    "Let this process believe that it is another year."
    now, then = time.time, time.mktime((year, 1, 1, 0, 0, 0, 0, 0, 0))
    shift, stat = then - now(), os.stat

    class Shifted:
        def __init__(self, result):
            self.result = result

        def __getattr__(self, name):
            value = getattr(self.result, name)
            return value + shift if name in ("st_mtime", "st_atime", "st_ctime") else value

    time.time = lambda: now() + shift
    os.stat = lambda *args, **more: Shifted(stat(*args, **more))


@pytest.mark.parametrize("encoding", ["ascii", "cp949"])
def test_any_terminal_can_be_written_to(bare_env, tmp_path, encoding):
    env = bare_env | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    out = tmp_path / "숫자 █ é"
    options = dict(env=env, capture_output=True, timeout=300)
    done = subprocess.run([script("train"), "--out", str(out), *SMALL], **options)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"next: learning_gan_sample" in done.stdout
    done = subprocess.run([script("sample"), "--run", f"{out}é█", "--out", "x.png"], **options)
    assert done.returncode == 1 and b"is not a run folder" in done.stderr and b"Traceback" not in done.stderr


# Paths


def test_a_tilde_that_the_shell_left_is_the_home(bare_env, tmp_path):
    done = run("train", "--out=~/my runs/first", *SMALL, env=bare_env, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []
    assert (Path(bare_env["HOME"]) / "my runs" / "first" / "generator.keras").exists()
    # What it says comes next can be pasted as it is.
    following = re.search(r"^next: (.*)$", done.stdout, re.M)[1]
    done = subprocess.run(
        ["bash", "-c", following], env=bare_env, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "") and (tmp_path / "new.png").exists()


# Promises about bits


def warned(*words, env) -> str:
    done = run("train", *words, env=env)
    assert done.returncode == 0
    return done.stderr


@pytest.mark.slow
def test_other_threads_and_other_precision_are_told_before_a_run_goes_on(finished, bare_env, tmp_path):
    out = shutil.copytree(finished, tmp_path / "run")
    more = ["--out", out, *SMALL, "--epochs", "2"]
    there = read_config(out)["threads"]
    said = warned(*more, env=bare_env | {"TF_NUM_INTRAOP_THREADS": str(there + 1)})
    assert f"may not continue to the bit: threads is {there} there and {there + 1} here" in said
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"dtype_policy": "mixed_bfloat16", "device": "GPU"}))
    said = warned(*more, "--epochs", "3", env=bare_env)
    assert "dtype_policy is mixed_bfloat16 there and float32 here" in said and "device is GPU there" in said


# Signals


@pytest.mark.kill
def test_a_signal_is_noted_and_obeyed_at_a_safe_point_only(tmp_path):
    words = ["--data", "embedded", "--epochs", "200", "--g_hidden_size", "8", "--out", tmp_path / "run"]
    victim = Victim(tmp_path, victims.command, "train", words, raise_never)
    victim.wait(until=lambda: victim.epochs >= 1)
    victim.signal(signal.SIGTERM)
    assert victim.wait() == 128 + signal.SIGTERM
    assert victim.err.read_text().startswith("learning_gan_train: stopped by SIGTERM;")
    assert (tmp_path / "run" / "samples.npz").exists()  # however it ends


def raise_never() -> None:
    "An exception that is raised in a signal handler shows as one in `_note`'s frame: make it fatal."
    from learning_gan.console import Interrupts

    note = Interrupts._note

    def checked(self, number, frame):
        try:
            note(self, number, frame)
        except BaseException:
            os._exit(99)

    Interrupts._note = checked


@pytest.mark.kill
def test_a_second_signal_does_not_wait(tmp_path):
    victim = Victim(tmp_path, two_signals)
    assert victim.wait() == -signal.SIGTERM


def two_signals() -> None:
    from learning_gan.console import Interrupts

    with Interrupts():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)


# Calls that anyone makes


def test_numpy_seeds_and_data_in_every_form(tmp_path):
    images = load_mnist("embedded").train.images[:200]
    first = train(HP, images, tmp_path / "a", np.int32(3), verbose=False)
    pair = ((images.reshape(-1, 784), np.zeros(200)), (images[:9, ..., 0], np.zeros(9)))
    np.testing.assert_array_equal(train(HP, pair, tmp_path / "b", 3, verbose=False), first)
    assert read_config(tmp_path / "a")["seed"] == 3
    with pytest.raises(ValueError, match=r"scale with images / 127\.5 - 1"):
        train(HP, images * 1.0, tmp_path / "c")
    with pytest.raises(
        ValueError, match=r"the images are 14x14x1, which is 196 numbers each.*use input_size=196"
    ):
        train(HP, images[:, ::2, ::2], tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_the_size_that_the_message_names_trains(tmp_path):
    images = load_mnist("embedded").train.images[:200, ::2, ::2]
    train(HyperParameters(epochs=1, batch_size=5_500, input_size=196), images, tmp_path, verbose=False)
    assert read_config(tmp_path)["data"]["image_shape"] == [14, 14, 1]


@pytest.mark.slow
def test_many_trainings_in_a_process_warn_of_nothing(tmp_path, caplog):
    data = load_mnist("embedded")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for seed in range(6):
            train(HP, data, tmp_path / str(seed), seed, verbose=False)
    assert [record.message for record in caplog.records if "retracing" in record.message] == []


def test_a_mark_that_an_editor_left_is_read_over(finished, tmp_path):
    out = shutil.copytree(finished, tmp_path / "run")
    config = (out / "config.json").read_text()
    (out / "config.json").write_text("\ufeff" + config, encoding="utf-8")
    assert read_config(out) == json.loads(config)


def test_a_run_of_an_older_version_is_told_apart(finished, tmp_path):
    out = shutil.copytree(finished, tmp_path / "run")
    config = json.loads((out / "config.json").read_text())
    del config["format"]
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="another version of learning_gan wrote it"):
        train(HP, load_mnist("embedded"), out)
