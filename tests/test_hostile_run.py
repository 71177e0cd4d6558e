"""A run folder from a stranger is refused by name: no code in it runs, no link is followed, nothing waits or swells."""

import json
import os
import pickle
import signal
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import victims
from victims import Victim

from learning_gan import cli
from learning_gan.checkpoints import load_checkpoint, save_checkpoint
from learning_gan.console import one_line
from learning_gan.opening import open_run
from learning_gan.recipe import HyperParameters
from learning_gan.runs import (
    HISTORY,
    RunError,
    read_config,
    read_history,
    read_samples,
    save_samples,
    write_history,
)
from learning_gan.sampling import load_generator
from learning_gan.training import build_gan

HP = HyperParameters(input_size=16, z_size=6, g_hidden_size=8, d_hidden_size=4, epochs=2)
CONFIG = {
    "format": 2,
    "recipe": {name: getattr(HP, name) for name in HP.__dataclass_fields__},
    "seed": 0,
    "data": {"name": "embedded", "sha256": "0" * 64, "image_shape": [4, 4, 1]},
}
GAN = build_gan(HP, seed=0)
STATE = {name: variable.numpy() for name, variable in GAN.state().items()}


@pytest.fixture(autouse=True)
def no_waiting():
    "Waiting for what never comes is an error."

    def stop(number, frame):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def run(tmp_path) -> Path:
    "A run folder that is still as it should be."
    run = tmp_path / "run"
    for name in ("checkpoints", "samples"):
        (run / name).mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(CONFIG))
    write_history(run, np.array([(1, *[1] * 9), (2, *[1] * 9)], HISTORY))
    for epoch in (1, 2):
        save_samples(run, epoch, np.zeros((16, 16), np.float32))
        save_checkpoint(run, epoch, STATE)
    return run


@pytest.fixture
def mark(tmp_path) -> Path:
    "The file that hostile code makes; it is there only if that code has run."
    return tmp_path / "i-was-here"


def refuse(read, run: Path, name: str, why: str = "") -> None:
    "Reading fails with one line that names the file, and says `why`."
    with pytest.raises(RunError) as caught:
        read(run)
    message = one_line(str(caught.value))
    assert message.startswith(str(run / name)) and why in message


def become(path: Path, what: str) -> None:
    "Put something that is no file in a file's place."
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"endless": "/dev/zero", "loop": path, "nowhere": path.parent / "nowhere"}[what])


NO_FILES = ["folder", "pipe", "endless", "loop", "nowhere"]


def test_the_untouched_folder_is_read(run):
    assert all(map(np.array_equal, load_generator(run).get_weights(), GAN.generator.get_weights()))
    assert len(read_history(run)) == len(read_samples(run)) == load_checkpoint(run, GAN.state())[0] == 2


# config.json


def config(**changes) -> str:
    return json.dumps(CONFIG | changes)


def recipe(**changes) -> str:
    return config(recipe=CONFIG["recipe"] | changes)


BAD_CONFIGS = {
    "empty": "",
    "no JSON": "{'recipe': 0}",
    "cut": config()[:-1],
    "two": config() * 2,
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "nothing in it": "{}",
    "deep": '{"recipe":' * 50_000,
    "deep but whole": "[" * 100_000 + "]" * 100_000,
    "large": config() + " " * (1 << 21),
    "a long number": recipe(epochs=1).replace('"epochs": 1', '"epochs": ' + "9" * 5_000),
    "a recipe that is a list": config(recipe=[1, 2]),
    "a recipe that is a text": config(recipe="abc"),
    "a recipe that is null": config(recipe=None),
    "an unknown name": recipe(layers=3),
    "a hidden name": recipe(__class__="object"),
    "NaN": recipe(alpha=float("nan")),
    "infinite": recipe(learning_rate=float("inf")),
    "overflowing": recipe(alpha=0.5).replace("0.5", "1e999"),
    "negative": recipe(z_size=-1),
    "zero": recipe(epochs=0),
    "too many": recipe(g_hidden_size=10_001),
    "true": recipe(epochs=True),
    "a fraction of a pixel": recipe(input_size=16.0),
    "text for a number": recipe(z_size="6"),
    "a list for a number": recipe(z_size=[6]),
    "null for a number": recipe(z_size=None),
    "a negative seed": config(seed=-1),
    "a long seed": config(seed=2**63),
    "half a seed": config(seed=0.5),
    "data that is a list": config(data=["name", "sha256"]),
    "data without a hash": config(data={"name": "embedded", "image_shape": [4, 4, 1]}),
    "data with a number for a hash": config(data=CONFIG["data"] | {"sha256": 0}),
    "data without a shape": config(data={"name": "embedded", "sha256": "0"}),
    "a shape that is a text": config(data=CONFIG["data"] | {"image_shape": "441"}),
    "a giant shape": config(data=CONFIG["data"] | {"image_shape": [10_001, 1, 1]}),
    "half a shape": config(data=CONFIG["data"] | {"image_shape": [4, 4]}),
    "true for a size": config(data=CONFIG["data"] | {"image_shape": [4, 4, True]}),
    "an older format": config(format=1),
    "an unknown architecture": recipe(architecture="os:system"),
    "a loss that is a list": recipe(loss=["non_saturating"]),
    "control characters": '{"\x1b[2J": 0}',
    "half a character": '{"recipe": {"\\ud800": 1}, "seed": 0, "data": 0}',
}


@pytest.mark.parametrize("bad", BAD_CONFIGS)
def test_a_bad_config_is_refused(run, bad):
    (run / "config.json").write_text(BAD_CONFIGS[bad])
    for read in (read_config, load_generator, read_samples):
        refuse(read, run, "config.json", "cannot be used")
    with pytest.raises(SystemExit) as end:
        cli.sample_command(["--run", str(run), "--out", str(run / "new.png")])
    assert end.value.code.isprintable() and end.value.code.startswith("learning_gan_sample: ")
    assert len(end.value.code) < 1_100 and not list(run.glob("*new*"))


@pytest.mark.parametrize("content", [b"\xff\xfe{\0}\0", b"\0" * 100, b"\x80", b"\xef\xbb\xbf{}"])
def test_a_config_that_is_no_text_is_refused(run, content):
    (run / "config.json").write_bytes(content)
    refuse(read_config, run, "config.json", "cannot be used")


@pytest.mark.parametrize("what", NO_FILES)
def test_a_config_that_is_no_file_is_refused_without_waiting(run, what):
    become(run / "config.json", what)
    with pytest.raises(RunError, match=r"config\.json"):
        load_generator(run)


# history.csv

HEAD = ",".join(HISTORY.names[:5]) + "\n"  # without the signs, which a run may lack
BAD_HISTORIES = {
    "empty": b"",
    "another head": b"epoch,loss\n1,2\n",
    "a short row": HEAD.encode() + b"1,2,3,4\n",
    "no signs": ",".join(HISTORY.names).encode() + b"\n1,2,3,4,5\n",
    "an unknown sign": HEAD.strip().encode() + b",d_real,d_false\n1,2,3,4,5,6,7\n",
    "a long row": HEAD.encode() + b"1,2,3,4,5,6\n",
    "an empty row": HEAD.encode() + b"\n",
    "words": HEAD.encode() + b"1,2,3,4,five\n",
    "no epoch": HEAD.encode() + b"1.0,2,3,4,5\n",
    "a long epoch": HEAD.encode() + b"9" * 20 + b",2,3,4,5\n",
    "a very long epoch": HEAD.encode() + b"9" * 9_999 + b",2,3,4,5\n",
    "an epoch twice": HEAD.encode() + b"1,2,3,4,5\n" * 2,
    "an epoch too late": HEAD.encode() + b"2,2,3,4,5\n",
    "NaN": HEAD.encode() + b"1,2,3,4,nan\n",
    "infinite": HEAD.encode() + b"1,2,3,4,1e39\n",
    "a long field": HEAD.encode() + b"1" * 200_000,
    "zeros": bytes(1000),
    "no text": b"\xff\xfe",
    "large": HEAD.encode() + b"\n" * (1 << 21),
    "an open quote": HEAD.encode() + b'"1,2,3,4,5\n',
}


@pytest.mark.parametrize("bad", BAD_HISTORIES)
def test_a_bad_history_is_refused(run, bad):
    (run / "history.csv").write_bytes(BAD_HISTORIES[bad])
    refuse(read_history, run, "history.csv", "cannot be read")


# Arrays


class Touch:
    "What makes a file when it is unpickled."

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def npy(header: bytes, content: bytes = b"") -> bytes:
    "A file of an array whose header says what it likes."
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + content


def head(descr: str = "'<f4'", shape: str = "(16, 16)", order: str = "False") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


BAD_ARRAYS = {
    "a giant": npy(head(shape="(1000000, 1000000)")),
    "more than there is": npy(head(shape="(3000, 16)"), bytes(1024)),
    "a negative shape": npy(head(shape="(-1, 16)"), bytes(1024)),
    "a shape past counting": npy(head(shape=f"({'9' * 30}, 16)"), bytes(1024)),
    "objects": npy(head(descr="'|O'"), pickle.dumps([1])),
    "deep": npy(b"(" * 5_000),
    "a call": npy(b"__import__('os').getpid()"),
    "no header": npy(b""),
    "cut": b"\x93NUMPY\1",
    "version 9": b"\x93NUMPY\x09\0" + bytes(64),
    "no array": b"just text",
    "a pickle": pickle.dumps([1]),
}
OTHER_SAMPLES = {
    "float64": np.zeros((16, 16)),
    "bytes": np.zeros((16, 16), "u1"),
    "the other byte order": np.zeros((16, 16), ">f4"),
    "other pixels": np.zeros((16, 15), "f4"),
    "fewer": np.zeros((15, 16), "f4"),
    "a scalar": np.zeros((), "f4"),
    "NaN": np.full((16, 16), np.nan, "f4"),
    "too bright": np.full((16, 16), 1.001, "f4"),
}


@pytest.mark.parametrize("bad", BAD_ARRAYS)
def test_an_array_that_makes_no_sense_is_refused(run, bad):
    (run / "samples" / "epoch_00001.npy").write_bytes(BAD_ARRAYS[bad])
    refuse(read_samples, run, "samples/epoch_00001.npy", "cannot be used")
    newest, older = run / "checkpoints" / "epoch_00002.npz", run / "checkpoints" / "epoch_00001.npz"
    with zipfile.ZipFile(newest, "w") as archive:
        for name in STATE:
            archive.writestr(f"{name}.npy", BAD_ARRAYS[bad])
    with pytest.warns(UserWarning, match=f"passing over a checkpoint: {newest} cannot be read"):
        assert load_checkpoint(run, GAN.state())[0] == 1
    older.write_bytes(newest.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RunError, match=f"no checkpoint in {run / 'checkpoints'} can be used"):
            load_generator(run)


@pytest.mark.parametrize("other", OTHER_SAMPLES)
def test_samples_of_another_kind_are_refused(run, other):
    np.save(run / "samples" / "epoch_00002.npy", OTHER_SAMPLES[other])
    refuse(read_samples, run, "samples/epoch_00002.npy", "cannot be used")


def test_pickles_are_not_opened(run, mark):
    array = np.empty(3, object)
    array[:] = Touch(mark)
    np.save(run / "samples" / "epoch_00001.npy", array)
    refuse(read_samples, run, "samples/epoch_00001.npy")
    np.savez(run / "checkpoints" / "epoch_00002.npz", **dict.fromkeys(STATE, array))
    with pytest.warns(UserWarning, match="passing over a checkpoint"):
        load_generator(run)
    assert not mark.exists()
    np.load(run / "samples" / "epoch_00001.npy", allow_pickle=True)
    assert mark.exists()


def test_a_checkpoint_cut_or_changed_anywhere_is_passed_over_or_the_same(run):
    path, rng = run / "checkpoints" / "epoch_00002.npz", np.random.default_rng(0)
    whole, passed = path.read_bytes(), 0
    changes = [whole[:length] for length in range(0, len(whole), len(whole) // 50)]
    for place in rng.integers(len(whole), size=100):
        changed = bytearray(whole)
        changed[place] ^= rng.integers(1, 256)
        changes.append(bytes(changed))
    for content in changes:
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            epoch, arrays = load_checkpoint(run, GAN.state())
        passed += epoch == 1
        assert len(caught) == (epoch == 1)
        assert all(np.array_equal(arrays[name], STATE[name]) for name in STATE)
    assert passed > 100


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_is_refused_without_waiting(run, what):
    become(run / "history.csv", what)
    refuse(read_history, run, "history.csv")
    become(run / "samples" / "epoch_00002.npy", what)
    refuse(read_samples, run, "samples/epoch_00002.npy")
    become(run / "checkpoints" / "epoch_00002.npz", what)
    with pytest.warns(UserWarning, match="passing over a checkpoint"):
        assert load_checkpoint(run, GAN.state())[0] == 1


def test_sparse_and_packed_files_are_refused_unopened(run):
    "A few kilobytes that would become gigabytes."
    sparse, packed = run / "samples" / "epoch_00002.npy", run / "checkpoints" / "epoch_00002.npz"
    with open(sparse, "wb") as file:
        file.write(npy(head(shape="(16, 125000000)")))
        file.truncate(8_000_000_000)
    zeros = npy(head(shape="(6, 8)"), bytes(64 << 20))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in STATE:
            archive.writestr(f"{name}.npy", zeros)
    tracemalloc.start()
    refuse(read_samples, run, "samples/epoch_00002.npy", "larger than")
    with pytest.warns(UserWarning, match="is packed, or of another size|larger than"):
        load_generator(run)
    with open(packed, "wb") as file:
        file.truncate(8_000_000_000)
    with pytest.warns(UserWarning, match="larger than"):
        load_generator(run)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


# Links


@pytest.mark.parametrize("name", ["checkpoints", "samples"])
def test_a_folder_that_leads_elsewhere_loses_no_file(run, tmp_path, name):
    elsewhere = (run / name).rename(tmp_path / "elsewhere")
    (run / name).symlink_to(elsewhere)
    before = sorted(path.name for path in elsewhere.iterdir())
    for overwrite in (False, True):
        with (
            pytest.raises(RunError, match="is a link or a file, not a folder"),
            open_run(run, CONFIG, overwrite),
        ):
            pass
    assert sorted(path.name for path in elsewhere.iterdir()) == before


def test_a_lock_that_leads_elsewhere_empties_no_file(run, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (run / ".lock").symlink_to(precious)
    with pytest.raises((RunError, OSError)), open_run(run, CONFIG):
        pass
    assert precious.read_text() == "precious"


# The command, as a process


def test_the_command_says_one_line_and_ends_with_status_1(run):
    (run / "config.json").write_bytes(b"{")
    victim = Victim(run, victims.command, "sample", ["--run", run, "--out", run / "new.png"])
    assert victim.wait() == 1
    (line,) = victim.err.read_text().splitlines()
    assert line.startswith(f"learning_gan_sample: {run / 'config.json'} cannot be used")
    assert victim.out.read_text() == "" and not (run / "new.png").exists()
