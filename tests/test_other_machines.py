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

import chapters
import numpy as np
import processes
import pytest
from processes import Process

from learning_gan.parts.recipes import HyperParameters
from learning_gan.run.folder import read_config
from learning_gan.run.training import GAN, train

SMALL = ["--data", "embedded", "--epochs", 1, "--batch_size", 5_500, "--g_hidden_size", 8]
HP = HyperParameters(epochs=1, batch_size=5_500, g_hidden_size=8)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits) -> Path:
    "A small finished run."
    out = tmp_path_factory.mktemp("machines") / "run"
    train(HP, digits, out, verbose=False)
    return out


# What a process is born with, so that it has to load everything itself


def test_settings_of_the_users_keras_change_nothing(finished, bare_env, tmp_path):
    home = Path(bare_env["HOME"]) / ".keras"
    home.mkdir()
    users = {"floatx": "float16", "image_data_format": "channels_first", "backend": "jax"}
    (home / "keras.json").write_text(json.dumps(users))
    done = processes.cold("train", "--out", tmp_path / "run", *SMALL, env=bare_env)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("history.csv", "samples.npz", "checkpoints/epoch_00001.npz"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes(), name


def float64() -> None:
    from learning_gan.core.backend import keras

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def test_another_precision_of_keras_changes_no_sample(finished, tmp_path):
    drawn = []
    for prepare in (None, float64):
        processes.succeed("sample", "--run", finished, "--out", tmp_path / "new.png", prepare=prepare)
        drawn.append((tmp_path / "new.png").read_bytes())
    assert drawn[0] == drawn[1]


def test_another_backend_of_keras_is_refused_in_the_promised_line(bare_env, finished, tmp_path):
    for backend in ("jax", "nonsense"):
        env = bare_env | {"KERAS_BACKEND": backend}
        done = processes.cold("sample", "--run", finished, "--out", tmp_path / "new.png", env=env)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
        assert (
            f"the backend is '{backend}': set the environment variable KERAS_BACKEND=tensorflow"
            in done.stderr
        )


NOBODY = """
import os, pwd, sys

def getpwuid(uid):
    raise KeyError(uid)

def settings():
    return {name: value for name, value in os.environ.items() if name.startswith(("KERAS", "TF_", "MPLB"))}

pwd.getpwuid, before = getpwuid, settings()
import learning_gan.run.training
assert settings() == before, "importing us sets something for the process"
from learning_gan.app.commands import train_command
train_command(sys.argv[1:])
"""


def test_a_user_without_a_home_whom_the_system_does_not_know_can_train(bare_env, tmp_path):
    "Nor is a backend for figures there that Jupyter has left in the environment."
    env = {name: value for name, value in bare_env.items() if name not in ("HOME", "USER", "LOGNAME")}
    env["MPLBACKEND"], here = "module://nowhere.backend_inline", tmp_path / "here"
    here.mkdir()
    done = processes.cold("python", "-c", NOBODY, "--out", "run", *SMALL, env=env, cwd=here)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert [path.name for path in here.iterdir()] == ["run"]  # and no folder named ~


def test_a_chapter_runs_in_plain_jupyter_away_from_the_checkout(bare_env, tmp_path):
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "a folder with spaces"
    elsewhere.mkdir()
    chapter = chapters.NOTEBOOKS / "build" / "12_generator.ipynb"
    command = ["jupyter", "nbconvert", "--to", "notebook", "--execute", "--output-dir", out, chapter]
    done = subprocess.run(command, cwd=elsewhere, env=bare_env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    code = [c for c in json.loads((out / chapter.name).read_text())["cells"] if c["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code if cell["source"])
    assert [o for cell in code for o in cell["outputs"] if o.get("name") == "stderr"] == []


# Clocks, terminals, paths


def write_to(pipe: Path, gate: Path) -> None:
    os.dup2(os.open(pipe, os.O_WRONLY), 1)
    processes.once_written("epoch_00001.npz", processes.wait_for, gate)


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path):
    pipe, gate = tmp_path / "pipe", tmp_path / "gate"
    os.mkfifo(pipe)
    words = ["--out", tmp_path / "run", *SMALL, "--epochs", 2]
    process = Process(tmp_path / "said", "train", *words, prepare=partial(write_to, pipe, gate))
    with open(pipe) as reader:
        assert reader.readline().startswith("Epoch 1/2")
    gate.touch()
    assert process.wait() in (-signal.SIGPIPE, 128 + signal.SIGPIPE) and process.err.read_text() == ""
    assert processes.succeed("train", *words).startswith(("resuming after epoch", "finished already"))


def turn_clock(year: int) -> None:
    "Let this process believe that it is another year."
    now, then, stat = time.time, time.mktime((year, 1, 1, 0, 0, 0, 0, 0, 0)), os.stat
    shift = then - now()

    class Shifted:
        def __init__(self, result):
            self.result = result

        def __getattr__(self, name):
            return getattr(self.result, name) + (shift if name in ("st_mtime", "st_atime", "st_ctime") else 0)

    time.time = lambda: now() + shift
    os.stat = lambda *args, **more: Shifted(stat(*args, **more))


def copied(finished: Path, out: Path) -> list:
    "The words of a command that finds a copy of the finished run, and writes its results anew."
    shutil.copytree(finished, out)
    for name in ("generator.keras", "samples.npz"):
        (out / name).unlink()
    return ["--out", out, *SMALL]


@pytest.mark.parametrize("year", [1975, 2150])
def test_a_wrong_clock_costs_one_file_and_says_so(finished, tmp_path, year):
    run = tmp_path / "run"
    done = processes.run("train", *copied(finished, run), prepare=partial(turn_clock, year))
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1
    assert "generator.keras was not written" in done.stderr and "nothing else is missing" in done.stderr
    assert not (run / "generator.keras").exists() and (run / "samples.npz").exists()


def use_encoding(name: str) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding=name, errors="strict")


@pytest.mark.parametrize("encoding", ["ascii", "cp949"])
def test_any_terminal_can_be_written_to(finished, tmp_path, encoding):
    out, prepare = tmp_path / "숫자 █ é", partial(use_encoding, encoding)
    assert "next: learning_gan_sample" in processes.succeed("train", *copied(finished, out), prepare=prepare)
    words = ["--run", f"{out}é█", "--out", tmp_path / "x.png"]
    assert "is not a run folder" in processes.refused("sample", *words, prepare=prepare)


def test_a_tilde_that_the_shell_left_is_the_home(finished, bare_env, tmp_path):
    _, out, *words = copied(finished, Path(bare_env["HOME"]) / "my runs" / "first")
    said = processes.succeed("train", "--out=~/my runs/first", *words, env=bare_env, cwd=tmp_path)
    assert said.startswith("finished already") and (out / "generator.keras").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    name, *words = shlex.split(re.search(r"^next: (.*)$", said, re.M)[1])  # as the shell has it
    assert name == "learning_gan_sample"
    processes.succeed("sample", *words, env=bare_env, cwd=tmp_path)
    assert (tmp_path / "new.png").exists()


# Promises about bits, and what was written by others


def test_other_threads_and_other_precision_are_told_before_a_run_goes_on(finished, tmp_path):
    "Also where an editor has put its mark before the configuration."
    out = shutil.copytree(finished, tmp_path / "run")

    def warned(epochs, **how) -> str:
        done = processes.run("train", "--out", out, *SMALL, "--epochs", epochs, **how)
        assert done.returncode == 0 and f"resuming after epoch {epochs - 1}" in done.stdout
        return done.stderr

    there = read_config(out)["threads"]
    said = warned(2, env=os.environ | {"TF_NUM_INTRAOP_THREADS": str(there + 1)})
    assert f"may not continue to the bit: threads is {there} there and {there + 1} here" in said
    config = json.loads((out / "config.json").read_text()) | {
        "dtype_policy": "mixed_bfloat16",
        "device": "GPU",
    }
    (out / "config.json").write_text(json.dumps(config), encoding="utf-8-sig")
    said = warned(3)
    assert "dtype_policy is mixed_bfloat16 there and float32 here" in said and "device is GPU there" in said


# Calls that anyone makes


@pytest.fixture
def not_compiled(monkeypatch):
    monkeypatch.setattr(GAN, "compiles_well", lambda model: False)


@pytest.mark.usefixtures("not_compiled")
def test_numpy_numbers_and_data_in_every_form(tmp_path, digits):
    images = digits.train.images[:200]
    hp = HyperParameters(epochs=np.int32(1), batch_size=np.int64(5_500), g_hidden_size=np.int16(8))
    first = train(hp, images, tmp_path / "a", np.int32(3), verbose=False)
    pair = ((images.reshape(-1, 784), np.zeros(200, int)), (images[:9, ..., 0], np.zeros(9, int)))
    np.testing.assert_array_equal(train(HP, pair, tmp_path / "b", 3, verbose=False), first)
    assert read_config(tmp_path / "a")["seed"] == 3
    with pytest.raises(ValueError, match=r"scale with images / 127\.5 - 1"):
        train(HP, images * 1.0, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    train(HP, images[:, ::2, ::2], tmp_path / "c", verbose=False)
    assert read_config(tmp_path / "c")["data"]["image_shape"] == [14, 14, 1]


@pytest.mark.usefixtures("not_compiled")
def test_many_trainings_in_a_process_warn_of_nothing(tmp_path, caplog, digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for seed in range(6):
            train(HP, digits, tmp_path / str(seed), seed, verbose=False)
    assert [record.message for record in caplog.records if "retracing" in record.message] == []
