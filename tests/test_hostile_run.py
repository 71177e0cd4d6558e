"""A run folder from a stranger is refused by name: no code in it runs, no link is followed, nothing waits or swells."""

import json
import os
import pickle
import signal
import tracemalloc
import warnings
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import processes
import pytest

from learning_gan.core.files import one_line
from learning_gan.parts.recipes import HyperParameters
from learning_gan.run import folder
from learning_gan.run.checkpoints import load_checkpoint, open_run, save_checkpoint
from learning_gan.run.folder import RunError, history_columns, read_config, read_history, read_samples
from learning_gan.run.sampling import load_generator
from learning_gan.run.training import build_gan

HP = HyperParameters(z_size=6, g_hidden_size=8, d_hidden_size=4, epochs=2)
DATA = {"name": "embedded", "sha256": "0" * 64, "image_shape": [4, 4, 1]}
CONFIG = {"format": folder.FORMAT, "recipe": asdict(HP), "seed": 0, "data": DATA}
GAN = build_gan(HP, 0, (4, 4, 1))
STATE = {name: variable.numpy() for name, variable in GAN.state().items()}
NAMES = history_columns(["d_loss", "g_loss"]).names


@pytest.fixture(autouse=True)
def no_waiting():
    "Waiting for what never comes is an error."

    def stop(number, frame):
        raise AssertionError("it hangs")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(300)
    yield
    signal.alarm(0)


@pytest.fixture
def run(tmp_path) -> Path:
    "A run folder that is still as it should be."
    run = tmp_path / "run"
    for name in ("checkpoints", "samples"):
        (run / name).mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(CONFIG))
    folder.write_history(run, np.array([(1, *[1] * 4), (2, *[1] * 4)], history_columns(["d_loss", "g_loss"])))
    for epoch in (1, 2):
        folder.save_samples(run, epoch, np.zeros((16, 4, 4, 1), np.float32))
        save_checkpoint(run, epoch, STATE)
    return run


def refuse(read, run: Path, name: str, why: str = "") -> None:
    "Reading fails with one line that names the file, and says `why`."
    with pytest.raises(RunError) as caught:
        read(run)
    message = one_line(str(caught.value))
    assert message.startswith(str(run / name)) and why in message


def second_checkpoint_is_passed_over(run: Path, why: str = "passing over a checkpoint") -> None:
    with pytest.warns(UserWarning, match=why):
        assert load_checkpoint(run, GAN.state())[0] == 1


def test_the_untouched_folder_is_read(run):
    assert all(map(np.array_equal, load_generator(run).get_weights(), GAN.generator.get_weights()))
    assert len(read_history(run)) == len(read_samples(run)) == load_checkpoint(run, GAN.state())[0] == 2


def config(recipe=(), data=(), **changes) -> str:
    "The configuration, with something changed in it, or in its recipe or data, or in a part's place."
    parts = {"recipe": CONFIG["recipe"] | dict(recipe), "data": DATA | dict(data)}
    return json.dumps(CONFIG | parts | changes)


def recipe(**changes) -> str:
    return config(changes)


def without(name: str, value) -> str:
    return json.dumps(CONFIG | {name: value})


BAD_CONFIGS = [
    *("", "{'recipe': 0}", config()[:-1], config() * 2, "[]", "1", "null", "{}", '{"\x1b[2J": 0}'),
    *('{"recipe":' * 50_000, "[" * 100_000 + "]" * 100_000, config() + " " * (1 << 21)),  # deep, whole, large
    recipe(epochs=1).replace('"epochs": 1', '"epochs": ' + "9" * 5_000),
    recipe(alpha=0.5).replace("0.5", "1e999"),
    '{"recipe": {"\\ud800": 1}, "seed": 0, "data": 0}',  # half a character
    *(without("recipe", other) for other in ([1, 2], "abc", None)),
    *(recipe(**other) for other in ({"layers": 3}, {"__class__": "object"}, {"architecture": "os:system"})),
    *(recipe(**{name: value}) for name in ("alpha", "z_size") for value in (float("nan"), -1, "6", [6], None)),
    *(recipe(epochs=value) for value in (0, True, 16.0)),
    *(recipe(**other) for other in ({"g_hidden_size": 10_001}, {"loss": ["non_saturating"]}, {"model": 3})),
    *(config(seed=seed) for seed in (-1, 2**63, 0.5)),
    *(without("data", other) for other in (["name", "sha256"], {"name": "a", "image_shape": [4, 4, 1]})),
    *(config(data={"sha256": 0}), without("data", {"name": "embedded", "sha256": "0"})),
    *(config(data={"image_shape": shape}) for shape in ("441", [10_001, 1, 1], [4, 4], [4, 4, True])),
    config(format=1),
]  # fmt: skip
NO_TEXT = [b"\xff\xfe{\0}\0", b"\0" * 100, b"\x80", b"\xef\xbb\xbf{}"]


def test_a_bad_config_is_refused(run):
    for bad in [*(text.encode() for text in BAD_CONFIGS), *NO_TEXT]:
        (run / "config.json").write_bytes(bad)
        for read in (read_config, load_generator, read_samples):
            refuse(read, run, "config.json", "cannot be used")
    for bad in ("{", config(**{"\x1b[2J": 0, "format": 9}), BAD_CONFIGS[9]):  # so does the command
        (run / "config.json").write_text(bad)
        line = processes.refused("sample", "--run", run, "--out", run / "new.png")
        assert f"{run / 'config.json'} cannot be used" in line and line.isprintable() and len(line) < 1_100
    assert not list(run.glob("*new*"))


HEAD = ",".join(NAMES).encode() + b"\n"
BAD_HISTORIES = [
    *(b"", b"epoch,loss\n1,2\n", bytes(1000), b"\xff\xfe", HEAD + b"\n" * (1 << 21)),
    HEAD.strip() + b",d_real,d_fake\n1,2,3,4,5\n",  # no signs
    HEAD.strip() + b",d_real,d_real\n1,2,3,4,5,6,7\n",
    *(HEAD + row for row in (b"1,2,3,4\n", b"1,2,3,4,5,6\n", b"\n", b"1,2,3,4,five\n", b'"1,2,3,4,5\n')),
    *(HEAD + epoch + b",2,3,4,5\n" for epoch in (b"1.0", b"2", b"9" * 20, b"9" * 9_999, b"1,2,3,4,5\n1")),
    *(HEAD + b"1,2,3,4," + loss + b"\n" for loss in (b"nan", b"1e39")),
    HEAD + b"1" * 200_000,
]  # fmt: skip


def test_a_bad_history_is_refused(run):
    for bad in BAD_HISTORIES:
        (run / "history.csv").write_bytes(bad)
        refuse(read_history, run, "history.csv", "cannot be read")


def npy(header: bytes, content: bytes = b"") -> bytes:
    "A file of an array whose header says what it likes."
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + content


def head(descr: str = "'<f4'", shape: str = "(16, 4, 4, 1)") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()


BAD_ARRAYS = [
    npy(head(shape="(1000000, 1000000)")),
    *(npy(head(shape=shape), bytes(1024)) for shape in ("(3000, 16)", "(-1, 16)", f"({'9' * 30}, 16)")),
    *(npy(head(descr="'|O'"), pickle.dumps([1])), npy(b"(" * 5_000), npy(b"__import__('os').getpid()")),
    *(npy(b""), b"\x93NUMPY\1", b"\x93NUMPY\x09\0" + bytes(64), b"just text", pickle.dumps([1])),
]  # fmt: skip
OTHER = (16, 4, 4, 1)
OTHER_SAMPLES = [
    *(np.zeros(OTHER, kind) for kind in ("f8", "u1", ">f4")),
    *(np.zeros(shape, "f4") for shape in ((16, 4, 3, 1), (15, 4, 4, 1), (16, 16), ())),
    *(np.full(OTHER, value, "f4") for value in (np.nan, 1.001)),
]  # fmt: skip


def test_an_array_that_makes_no_sense_is_refused(run):
    newest, older = run / "checkpoints" / "epoch_00002.npz", run / "checkpoints" / "epoch_00001.npz"
    for other in OTHER_SAMPLES:
        np.save(run / "samples" / "epoch_00002.npy", other)
        refuse(read_samples, run, "samples/epoch_00002.npy", "cannot be used")
    for bad in BAD_ARRAYS:
        (run / "samples" / "epoch_00001.npy").write_bytes(bad)
        refuse(read_samples, run, "samples/epoch_00001.npy", "cannot be used")
        with zipfile.ZipFile(newest, "w") as archive:
            for name in STATE:
                archive.writestr(f"{name}.npy", bad)
        second_checkpoint_is_passed_over(run, f"passing over a checkpoint: {newest} cannot be read")
    older.write_bytes(newest.read_bytes())
    why = "no checkpoint can be used: .* Train with the networks that made it"
    with pytest.raises(RunError, match=why):
        load_generator(run)


class Touch:
    "What makes a file when it is unpickled."

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_are_not_opened(run, tmp_path):
    mark, array = tmp_path / "i-was-here", np.empty(3, object)
    array[:] = Touch(mark)
    np.save(run / "samples" / "epoch_00001.npy", array)
    refuse(read_samples, run, "samples/epoch_00001.npy")
    np.savez(run / "checkpoints" / "epoch_00002.npz", **dict.fromkeys(STATE, array))
    second_checkpoint_is_passed_over(run)
    assert not mark.exists()
    np.load(run / "samples" / "epoch_00001.npy", allow_pickle=True)
    assert mark.exists()


def test_a_checkpoint_cut_or_changed_anywhere_is_passed_over_or_the_same(run):
    path, rng = run / "checkpoints" / "epoch_00002.npz", np.random.default_rng(0)
    whole, passed = path.read_bytes(), 0
    changes = [whole[:length] for length in range(0, len(whole), len(whole) // 50)]
    for place in rng.integers(len(whole), size=100):
        changes.append(whole[:place] + bytes([whole[place] ^ rng.integers(1, 256)]) + whole[place + 1 :])
    for content in changes:
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            epoch, arrays = load_checkpoint(run, GAN.state())
        passed += epoch == 1
        assert len(caught) == (epoch == 1)
        assert all(np.array_equal(arrays[name], STATE[name]) for name in STATE)
    assert passed > 100


def test_sparse_and_packed_files_are_refused_unopened(run):
    "A few kilobytes that would become gigabytes."
    sparse, packed = run / "samples" / "epoch_00002.npy", run / "checkpoints" / "epoch_00002.npz"
    with open(sparse, "wb") as file:
        file.write(npy(head(shape="(16, 125000000)")))
        file.truncate(8_000_000_000)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{next(iter(STATE))}.npy", npy(head(shape="(6, 8)"), bytes(64 << 20)))
    tracemalloc.start()
    refuse(read_samples, run, "samples/epoch_00002.npy", "larger than")
    second_checkpoint_is_passed_over(run, "is packed, or of another size|larger than")
    with open(packed, "wb") as file:
        file.truncate(8_000_000_000)
    second_checkpoint_is_passed_over(run, "larger than")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


NO_FILES = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path),
    "nowhere": lambda path: path.symlink_to(path.parent / "nowhere"),
}


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_is_refused_without_waiting(run, what):
    files = "history.csv", "samples/epoch_00002.npy", "checkpoints/epoch_00002.npz", "config.json"
    for name, read in zip(files, (read_history, read_samples, None, load_generator), strict=True):
        (run / name).unlink()
        NO_FILES[what](run / name)
        if not read:
            second_checkpoint_is_passed_over(run)
        else:
            with pytest.raises(RunError, match=name):
                read(run)


@pytest.mark.parametrize("name", ["checkpoints", "samples"])
def test_a_folder_or_lock_that_leads_elsewhere_loses_no_file(run, tmp_path, name):
    elsewhere, precious = (run / name).rename(tmp_path / "elsewhere"), tmp_path / "precious"
    (run / name).symlink_to(elsewhere)
    before = sorted(path.name for path in elsewhere.iterdir())
    for overwrite in (False, True):
        with pytest.raises(RunError, match="is a link or a file, not a folder"):
            open_run(run, CONFIG, overwrite).__enter__()
    assert sorted(path.name for path in elsewhere.iterdir()) == before
    precious.write_text("precious")
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").symlink_to(precious)
    with pytest.raises((RunError, OSError)):
        open_run(run, CONFIG).__enter__()
    assert precious.read_text() == "precious"
