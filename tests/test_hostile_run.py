"""A run folder from a stranger is refused by name: no code in it runs, no link is followed, nothing waits or swells."""

import io
import json
import os
import pickle
import signal
import sys
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import victims
from victims import Victim

from learning_gan import cli
from learning_gan.backend import keras
from learning_gan.data import load_mnist
from learning_gan.network import HyperParameters, build_networks
from learning_gan.runs import (
    HISTORY,
    RunError,
    load_checkpoint,
    open_run,
    read_config,
    read_history,
    read_samples,
    run_config,
    save_checkpoint,
    write_history,
    write_samples,
)
from learning_gan.sampling import WEIGHTS, load_generator, sample
from learning_gan.training import train

HP = HyperParameters(input_size=16, z_size=6, g_hidden_size=8, d_hidden_size=4, epochs=2)
CONFIG = {
    "recipe": {name: getattr(HP, name) for name in HP.__dataclass_fields__},
    "seed": 0,
    "data": {"name": "embedded", "sha256": "0" * 64},
}


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


@pytest.fixture(scope="module")
def generator() -> keras.Model:
    "The generator of the run before anybody touched it."
    return build_networks(HP, 0)[0]


@pytest.fixture(scope="module")
def whole(generator, tmp_path_factory) -> bytes:
    "Its file."
    path = tmp_path_factory.mktemp("whole") / "generator.keras"
    generator.save(path)
    return path.read_bytes()


@pytest.fixture
def run(whole, tmp_path) -> Path:
    "A run folder that is still as it should be."
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(CONFIG))
    (run / "generator.keras").write_bytes(whole)
    write_history(run, np.array([(1, 1, 1, 1, 1), (2, 1, 1, 1, 1)], HISTORY))
    write_samples(run, np.zeros((2, 16, 16), np.float32), np.zeros((16, 6), np.float32))
    for epoch in (1, 2):
        save_checkpoint(run, epoch, {"w": np.full(3, float(epoch))})
    return run


@pytest.fixture
def mark(tmp_path) -> Path:
    "The file that hostile code makes; it is there only if that code has run."
    return tmp_path / "i-was-here"


def refuse(read, run: Path, name: str, why: str = "") -> None:
    "Reading fails with one line that names the file, and says `why`."
    with pytest.raises(RunError) as caught:
        read(run)
    message = cli.one_line(str(caught.value))
    assert message.startswith(str(run / name)) and why in message


def refuse_generator(run: Path, why: str = "") -> None:
    "So do the function and the command, which writes nothing."
    refuse(load_generator, run, "generator.keras", why)
    with pytest.raises(SystemExit) as end:
        cli.sample_command(os.fspath(run), os.fspath(run / "new.png"))
    assert end.value.code.startswith(f"learning_gan_sample: {run / 'generator.keras'}")
    assert "\n" not in end.value.code and not list(run.glob("*new*"))


def test_the_untouched_folder_is_read(run, generator):
    restored = load_generator(run)
    assert all(map(np.array_equal, restored.get_weights(), generator.get_weights()))
    assert len(read_history(run)) == len(read_samples(run)) == int(load_checkpoint(run)["epoch"]) == 2


# generator.keras, as a file


def test_a_generator_cut_anywhere_is_refused(run, whole):
    places = {*range(0, len(whole), len(whole) // 50), *range(len(whole) - 300, len(whole), 7)}
    for length in places:
        (run / "generator.keras").write_bytes(whole[:length])
        refuse(load_generator, run, "generator.keras", "cannot be read")
    refuse_generator(run)


def test_a_generator_with_a_changed_byte_is_refused_or_the_same(run, whole, generator):
    rng, refusals = np.random.default_rng(0), []
    for place in rng.integers(len(whole), size=100):
        changed = bytearray(whole)
        changed[place] ^= rng.integers(1, 256)
        (run / "generator.keras").write_bytes(changed)
        try:
            weights = load_generator(run).get_weights()
        except RunError as error:
            refusals.append(str(error))
        else:
            assert all(map(np.array_equal, weights, generator.get_weights()))
    assert len(refusals) > 60
    assert all(message.startswith(f"{run / 'generator.keras'} cannot be read") for message in refusals)


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


@pytest.mark.parametrize("what", NO_FILES)
def test_a_generator_that_is_no_file_is_refused_without_waiting(run, what):
    become(run / "generator.keras", what)
    refuse_generator(run, "is not there" if what in ("loop", "nowhere") else "not a regular file")


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"GIF89a" * 500, b"PK\5\6" + bytes(18), b"\x89HDF\r\n\x1a\n"]
)
def test_a_generator_that_is_no_archive_is_refused(run, content):
    (run / "generator.keras").write_bytes(content)
    refuse_generator(run, "cannot be read")


# generator.keras, as an archive


def entries_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def put_entries(run: Path, entries: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(run / "generator.keras", "w", packing) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("name", ["model.weights.h5", "config.json", "more"])
def test_a_bomb_is_refused_unopened(run, whole, packing, name):
    put_entries(run, entries_of(whole) | {name: bytes(16 << 20)}, packing)
    assert (run / "generator.keras").stat().st_size < 1 << 20
    tracemalloc.start()
    refuse_generator(run, "unpacks to more than its size")
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_bomb_that_lies_about_its_size_is_refused(run, whole):
    put_entries(run, entries_of(whole) | {"model.weights.h5": bytes(16 << 20)}, zipfile.ZIP_DEFLATED)
    content = (run / "generator.keras").read_bytes()
    lie = content.replace((16 << 20).to_bytes(4, "little"), (17_000).to_bytes(4, "little"))
    (run / "generator.keras").write_bytes(lie)
    refuse_generator(run, "unpacks to more than its size")


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[" * 20_000, b"\xff" * 20_000])
def test_an_entry_that_is_missing_or_makes_no_sense_is_refused(run, whole, name, content):
    entries = entries_of(whole) | {name: content, "room": bytes(20_000)}
    put_entries(run, {name: content for name, content in entries.items() if content is not None})
    refuse_generator(run, "cannot be read")


# generator.keras, as a model


def save_model(run: Path, *extra) -> None:
    "A model that does more than the generator."
    z = keras.Input((6,))
    images = keras.layers.Dense(16, activation="tanh")(keras.layers.Dense(8)(z))
    for layer in extra:
        images = layer(images)
    keras.Model(z, images).save(run / "generator.keras")


def redescribe(run: Path, whole: bytes, change) -> None:
    "Let `change` rewrite the description of the model."
    entries = entries_of(whole)
    description = json.loads(entries["config.json"])
    change(description)
    put_entries(run, entries | {"config.json": json.dumps(description).encode()})


def run_by_keras(run: Path) -> None:
    "What a reader who trusts the file does."
    keras.saving.load_model(run / "generator.keras", compile=False, safe_mode=False)


def test_a_lambda_does_not_run(run, mark):
    path = os.fspath(mark)
    save_model(run, keras.layers.Lambda(lambda x: [open(path, "w").close(), x][1]))
    mark.unlink()  # it has run here, when it was made
    refuse_generator(run, "does not hold the generator that config.json describes")
    assert not mark.exists()
    run_by_keras(run)
    assert mark.exists()


def test_a_registered_class_does_not_run(run, mark):
    @keras.saving.register_keras_serializable(package="stranger")
    class Stranger(keras.layers.LeakyReLU):
        @classmethod
        def from_config(cls, config):
            mark.touch()
            return cls(**config)

    save_model(run, Stranger())
    refuse_generator(run, "does not hold the generator that config.json describes")
    assert not mark.exists()
    run_by_keras(run)
    assert mark.exists()


@pytest.mark.parametrize("where", ["layer", "model", "initializer"])
def test_a_module_that_is_named_is_not_imported(run, whole, mark, tmp_path, monkeypatch, where):
    (tmp_path / "stranger.py").write_text(f"open({os.fspath(mark)!r}, 'w').close()\nclass LeakyReLU: pass\n")
    monkeypatch.syspath_prepend(tmp_path)

    def change(description):
        layer = description["config"]["layers"][1]
        named = {"layer": layer, "model": description, "initializer": layer["config"]["kernel_initializer"]}
        named[where] |= {"module": "stranger", "class_name": "LeakyReLU", "registered_name": None}

    redescribe(run, whole, change)
    if where == "layer":
        refuse_generator(run, "does not hold the generator that config.json describes")
    else:
        sample(load_generator(run), 1)  # what is not read does no harm
    assert not mark.exists() and "stranger" not in sys.modules


@pytest.mark.parametrize("key", ["units", "activation", "class_name", "batch_shape", "negative_slope"])
def test_a_description_of_another_network_is_refused(run, whole, key):
    def change(description):
        for layer in description["config"]["layers"]:
            for place in (layer, layer["config"]):
                if key in place:
                    place[key] = {"units": 9, "activation": "relu", "batch_shape": [2, 6]}.get(key, "Other")

    redescribe(run, whole, change)
    refuse_generator(run, "does not hold the generator that config.json describes")


@pytest.mark.parametrize("name", ["input_size", "z_size", "g_hidden_size"])
@pytest.mark.parametrize("by", [-1, 1, 9_000])
def test_a_generator_of_another_size_than_the_recipe_says_is_refused(run, name, by):
    recipe = CONFIG["recipe"] | {name: CONFIG["recipe"][name] + by}
    (run / "config.json").write_text(json.dumps(CONFIG | {"recipe": recipe}))
    refuse_generator(run)


def test_a_recipe_of_giants_is_refused_before_anything_is_built(run):
    giants = dict.fromkeys(("input_size", "z_size", "g_hidden_size", "d_hidden_size"), 10_000)
    (run / "config.json").write_text(json.dumps(CONFIG | {"recipe": CONFIG["recipe"] | giants}))
    start = time.monotonic()
    refuse_generator(run, "its size is not that of the generator")
    assert time.monotonic() - start < 1


# generator.keras, as weights


def reweigh(run: Path, whole: bytes, change) -> None:
    "Let `change` rewrite the HDF5 file with the weights."
    entries = entries_of(whole)
    buffer = io.BytesIO(entries["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        change(file)
    put_entries(run, entries | {"model.weights.h5": buffer.getvalue()})


def replace(file, name: str, **dataset) -> None:
    del file[name]
    file.create_dataset(name, **dataset)


KERNEL = WEIGHTS[0]
ODD_WEIGHTS = {
    "another shape": dict(data=np.zeros((8, 6), "f4")),
    "a scalar": dict(data=np.float32(0)),
    "float64": dict(data=np.zeros((6, 8))),
    "whole numbers": dict(data=np.zeros((6, 8), "i4")),
    "complex": dict(data=np.zeros((6, 8), "c8")),
    "the other byte order": dict(data=np.zeros((6, 8), ">f4")),
    "words": dict(data=np.full((6, 8), "x", "S4")),
    "records": dict(data=np.zeros((6, 8), [("x", "f4")])),
    "nothing": dict(data=h5py.Empty("f4")),
    "of any length": dict(shape=(6, 8), dtype=h5py.vlen_dtype(np.float32)),
    "a giant": dict(shape=(10**6, 10**6), dtype="f4", chunks=(1, 10**6)),
    "packed": dict(shape=(6, 8), dtype="f4", chunks=(6, 8), compression="gzip"),
    "in giant chunks": dict(
        shape=(6, 8), dtype="f4", maxshape=(None, None), chunks=(1 << 14, 1 << 14), compression="gzip"
    ),
    "NaN": dict(data=np.full((6, 8), np.nan, "f4")),
    "infinite": dict(data=np.full((6, 8), np.inf, "f4")),
}


@pytest.mark.parametrize("odd", ODD_WEIGHTS)
def test_weights_other_than_the_recipe_says_are_refused(run, whole, odd):
    reweigh(run, whole, lambda file: replace(file, KERNEL, **ODD_WEIGHTS[odd]))
    refuse_generator(run, "some weights are NaN" if odd in ("NaN", "infinite") else KERNEL)


def be_a_link(file, name: str, target) -> None:
    del file[name]
    file[name] = target


def be_virtual(file, other: Path) -> None:
    layout = h5py.VirtualLayout((6, 8), "f4")
    layout[:] = h5py.VirtualSource(other, KERNEL, (6, 8))
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


def be_external(file, other: Path) -> None:
    replace(file, KERNEL, shape=(6, 8), dtype="f4", external=[(os.fspath(other), 0, 192)])


ELSEWHERE = {
    "an external link": lambda file, other: be_a_link(file, KERNEL, h5py.ExternalLink(other, KERNEL)),
    "an external link above": lambda file, other: be_a_link(
        file, "layers", h5py.ExternalLink(other, "layers")
    ),
    "a soft link": lambda file, other: be_a_link(file, KERNEL, h5py.SoftLink(f"/{WEIGHTS[2]}")),
    "a link to itself": lambda file, other: be_a_link(file, KERNEL, h5py.SoftLink(f"/{KERNEL}")),
    "external bytes": be_external,
    "a virtual array": be_virtual,
    "a group": lambda file, other: be_a_link(file, KERNEL, file["vars"]),
    "a dtype": lambda file, other: be_a_link(file, KERNEL, np.dtype("f4")),
    "missing": lambda file, other: file.__delitem__(KERNEL),
    "missing above": lambda file, other: file.__delitem__("layers"),
}


@pytest.mark.parametrize("what", ["file", "pipe"])
@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_weights_that_lie_elsewhere_are_not_fetched(run, whole, tmp_path, elsewhere, what):
    other = tmp_path / "secret.h5"
    other.write_bytes(entries_of(whole)["model.weights.h5"])
    if what == "pipe":  # merely opening it would wait for ever
        become(other, "pipe")
    reweigh(run, whole, lambda file: ELSEWHERE[elsewhere](file, other))
    refuse_generator(run, KERNEL)


def test_what_else_lies_in_the_weights_is_not_looked_at(run, whole, tmp_path, generator):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def change(file):
        be_a_link(file, "layers/leaky_re_lu", h5py.ExternalLink(pipe, "/"))
        file["more"] = h5py.ExternalLink(pipe, "/")
        file["layers/circle"] = file["layers"]

    reweigh(run, whole, change)
    assert all(map(np.array_equal, load_generator(run).get_weights(), generator.get_weights()))


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
    "large": config() + " " * (1 << 20),
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
    "data without a hash": config(data={"name": "embedded"}),
    "data with a number for a hash": config(data={"name": "embedded", "sha256": 0}),
    "control characters": '{"\x1b[2J": 0}',
    "half a character": '{"recipe": {"\\ud800": 1}, "seed": 0, "data": 0}',
}


@pytest.mark.parametrize("bad", BAD_CONFIGS)
def test_a_bad_config_is_refused(run, bad):
    (run / "config.json").write_text(BAD_CONFIGS[bad])
    for read in (read_config, load_generator, read_samples):
        refuse(read, run, "config.json", "is damaged")
    with pytest.raises(SystemExit) as end:
        cli.sample_command(os.fspath(run), os.fspath(run / "new.png"))
    assert end.value.code.isprintable() and end.value.code.startswith("learning_gan_sample: ")
    assert len(end.value.code) < 1_100


@pytest.mark.parametrize("content", [b"\xff\xfe{\0}\0", b"\0" * 100, b"\x80", b"\xef\xbb\xbf{}"])
def test_a_config_that_is_no_text_is_refused(run, content):
    (run / "config.json").write_bytes(content)
    refuse(read_config, run, "config.json", "is damaged")


@pytest.mark.parametrize("what", NO_FILES)
def test_a_config_that_is_no_file_is_refused_without_waiting(run, what):
    become(run / "config.json", what)
    with pytest.raises(RunError, match=r"config\.json"):
        load_generator(run)


# history.csv

HEAD = ",".join(HISTORY.names) + "\n"
BAD_HISTORIES = {
    "empty": b"",
    "another head": b"epoch,loss\n1,2\n",
    "a short row": HEAD.encode() + b"1,2,3,4\n",
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
    "large": HEAD.encode() + b"\n" * (1 << 20),
    "an open quote": HEAD.encode() + b'"1,2,3,4,5\n',
}


@pytest.mark.parametrize("bad", BAD_HISTORIES)
def test_a_bad_history_is_refused(run, bad):
    (run / "history.csv").write_bytes(BAD_HISTORIES[bad])
    refuse(read_history, run, "history.csv", "cannot be read")


@pytest.mark.parametrize("what", NO_FILES)
@pytest.mark.parametrize("name", ["history.csv", "samples.npz"])
def test_a_record_that_is_no_file_is_refused_without_waiting(run, name, what):
    become(run / name, what)
    refuse(read_history if name == "history.csv" else read_samples, run, name)


# samples.npz and checkpoints


class Touch:
    "What makes a file when it is unpickled."

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def npy(header: bytes, content: bytes = b"") -> bytes:
    "A file of an array whose header says what it likes."
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + content


def head(descr: str = "'<f4'", shape: str = "(2, 16, 16)", order: str = "False") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


BAD_ARRAYS = {
    "a giant": npy(head(shape="(1000000, 1000000, 16)")),
    "more than there is": npy(head(shape="(3000, 16, 16)"), bytes(2048)),
    "a negative shape": npy(head(shape="(-1, 16, 16)"), bytes(2048)),
    "a shape past counting": npy(head(shape=f"({'9' * 30}, 16, 16)"), bytes(2048)),
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
    "float64": np.zeros((2, 16, 16)),
    "bytes": np.zeros((2, 16, 16), "u1"),
    "half": np.zeros((2, 16, 16), "f2"),
    "the other byte order": np.zeros((2, 16, 16), ">f4"),
    "other pixels": np.zeros((2, 16, 17), "f4"),
    "flat": np.zeros((2, 256), "f4"),
    "a scalar": np.zeros((), "f4"),
    "NaN": np.full((2, 16, 16), np.nan, "f4"),
    "too bright": np.full((2, 16, 16), 1.001, "f4"),
    "words": np.full((2, 16, 16), "x"),
}


def put_npz(path: Path, packing: int = zipfile.ZIP_STORED, **arrays: bytes) -> None:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)


@pytest.mark.parametrize("bad", BAD_ARRAYS)
def test_an_array_that_makes_no_sense_is_refused(run, bad):
    put_npz(run / "samples.npz", samples=BAD_ARRAYS[bad])
    refuse(read_samples, run, "samples.npz", "cannot be read")


@pytest.mark.parametrize("other", OTHER_SAMPLES)
def test_samples_of_another_kind_are_refused(run, other):
    np.savez(run / "samples.npz", samples=OTHER_SAMPLES[other])
    refuse(read_samples, run, "samples.npz", "holds no samples [epochs, n, 16] in [-1, 1]")


def test_samples_under_another_name_are_refused(run):
    np.savez(run / "samples.npz", pictures=np.zeros((2, 16, 16), "f4"))
    refuse(read_samples, run, "samples.npz", "holds no samples")


def test_samples_cut_anywhere_are_refused(run):
    content = (run / "samples.npz").read_bytes()
    for length in range(0, len(content), 40):
        (run / "samples.npz").write_bytes(content[:length])
        refuse(read_samples, run, "samples.npz", "cannot be read")


def test_packed_arrays_are_refused_unopened(run):
    put_npz(run / "samples.npz", zipfile.ZIP_DEFLATED, samples=npy(head(), bytes(16 << 20)))
    refuse(read_samples, run, "samples.npz", "unpacks to more than its size")


def put_pickles(path: Path, mark: Path) -> None:
    array = np.empty(3, object)
    array[:] = Touch(mark)
    np.savez(path, w=array, samples=array, epoch=array)


def test_pickles_are_not_opened(run, mark):
    put_pickles(run / "samples.npz", mark)
    refuse(read_samples, run, "samples.npz", "allow_pickle=False")
    assert not mark.exists()
    with np.load(run / "samples.npz", allow_pickle=True) as npz:
        assert npz["samples"].dtype == object
    assert mark.exists()


def test_a_hostile_checkpoint_is_passed_over_and_two_are_refused(run, mark):
    older, newest = sorted((run / "checkpoints").iterdir())
    put_pickles(newest, mark)
    with pytest.warns(UserWarning, match=f"passing over a checkpoint: {newest} cannot be read"):
        assert load_checkpoint(run)["w"][0] == 1
    put_pickles(older, mark)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RunError, match=f"no checkpoint in {run / 'checkpoints'} is whole"):
            load_checkpoint(run)
    assert not mark.exists()


@pytest.mark.parametrize("what", NO_FILES)
def test_a_checkpoint_that_is_no_file_is_passed_over_without_waiting(run, what):
    become(run / "checkpoints" / "epoch_00002.npz", what)
    with pytest.warns(UserWarning, match="passing over a checkpoint"):
        assert load_checkpoint(run)["w"][0] == 1


def test_training_does_not_go_on_from_pickles(mark, tmp_path):
    hp, data, out = (
        HyperParameters(epochs=1, batch_size=5_500, g_hidden_size=4),
        load_mnist("embedded"),
        tmp_path,
    )
    with open_run(out, run_config(hp, 0, data)):
        put_pickles(out / "checkpoints" / "epoch_00001.npz", mark)
    with pytest.warns(match="passing over"), pytest.raises(RunError, match="is whole: start anew"):
        train(hp, data, out, verbose=False)
    assert not mark.exists()


def test_a_lock_that_leads_elsewhere_empties_no_file(run, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (run / ".lock").symlink_to(precious)
    with pytest.raises((RunError, OSError)), open_run(run, CONFIG):
        pass
    assert precious.read_text() == "precious"


# The command, as a process


def test_the_command_says_one_line_and_ends_with_status_1(run, whole):
    (run / "generator.keras").write_bytes(whole[:-9])
    victim = Victim(run, victims.command, "sample", ["--run", run, "--out", run / "new.png"])
    assert victim.wait() == 1
    (line,) = victim.err.read_text().splitlines()
    assert line.startswith(f"learning_gan_sample: {run / 'generator.keras'} cannot be read")
    assert victim.out.read_text() == "" and not (run / "new.png").exists()
