"""Data that is damaged, swapped, hostile or half downloaded is refused by name, in bounded memory and time."""

import gzip
import hashlib
import http.server
import io
import math
import os
import struct
import threading
import time
import tracemalloc
import warnings
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import processes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning_gan.core.backend import keras
from learning_gan.parts import sources
from learning_gan.parts.data import DataError, DataUnavailable, load_mnist
from learning_gan.parts.sources import STEMS, fetched, read_idx

STEADY = settings(deadline=None, derandomize=True, database=None, max_examples=200)
NAMES = [f"{stem}-idx{dimensions[0]}-ubyte" for stem, dimensions in STEMS.items()]


def header(*shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def idx(array: np.ndarray) -> bytes:
    "An array of bytes as an IDX file."
    return header(*array.shape) + array.tobytes()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    "A place for one file after the other."
    return tmp_path_factory.mktemp("idx") / "file"


ARRAYS = st.lists(st.integers(0, 9), min_size=1, max_size=3).flatmap(
    lambda shape: st.binary(min_size=math.prod(shape), max_size=math.prod(shape)).map(
        lambda content: np.frombuffer(content, np.uint8).reshape(shape)
    )
)


@STEADY
@given(array=ARRAYS, packed=st.booleans(), where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_array_comes_back_and_with_a_changed_byte_is_refused_by_name(file, array, packed, where, flip):
    content = bytearray(gzip.compress(idx(array)) if packed else idx(array))
    file.write_bytes(content)
    read = read_idx(file)
    assert read.dtype == np.uint8 and read.shape == array.shape and (read == array).all()
    content[int(where * len(content))] ^= flip
    read_or_refuse(file, bytes(content))


def read_or_refuse(file: Path, content: bytes) -> None:
    "Reading gives an array, or an error that names the file in one line."
    file.write_bytes(content)
    try:
        assert read_idx(file).dtype == np.uint8
    except DataError as error:
        message = str(error)
        assert message.startswith(f"{file} ")
        assert "fetch it again" in message or "write it as unsigned bytes" in message


@STEADY
@given(content=st.binary(max_size=64) | st.binary(max_size=64).map(lambda rest: b"\0\0\x08" + rest))
def test_any_bytes_are_read_or_refused_by_name(file, content):
    read_or_refuse(file, content)
    read_or_refuse(file, gzip.compress(content))


WHOLE = idx(np.arange(12, dtype=np.uint8).reshape(3, 4))
CUT = [pack(WHOLE)[:length] for pack in (bytes, gzip.compress) for length in range(len(pack(WHOLE)))]
SHAPES = [(2**32 - 1,) * 3, (60_001, 28, 28), (0, 2**32 - 1, 2**32 - 1), (47_040_001,)]
MAGIC = [b"\0\0\x0a\x01", b"\0\0\x08\x00", b"\0\0\x08\x05", b"\1\0\x08\x01", b"\x89PNG"]
BAD_FILES = {
    "cannot be read|cut short|not an IDX file|within its header": CUT,
    "more than such a file can hold": [header(*shape) for shape in SHAPES],
    "not an IDX file of unsigned bytes: fetch it again": [magic + b"\0\0\0\1!" for magic in MAGIC],
    "is an IDX file of floats: write it as unsigned bytes": [b"\0\0\x0d\x01" + struct.pack(">If", 1, 0.5)],
}


def test_a_file_that_is_cut_too_large_something_else_or_none_is_refused(file, tmp_path):
    for why, contents in BAD_FILES.items():
        for content in contents:
            file.write_bytes(content)
            with pytest.raises(DataError, match=why):
                read_idx(file)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "nowhere", Path(os.devnull)):  # without waiting
        with pytest.raises(DataError, match="cannot be read"):
            read_idx(path)


@pytest.mark.parametrize("images", [1, 60_000])
def test_a_gzip_bomb_is_refused_in_bounded_memory(file, images):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(header(images, 28, 28))] + [packer.compress(bytes(1 << 20)) for _ in range(256)]
    file.write_bytes(b"".join(parts) + packer.flush())
    assert file.stat().st_size < 1 << 20
    tracemalloc.start()
    with pytest.raises(DataError, match="longer than its header says"):
        read_idx(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * sources.MAX_IDX_BYTES


@pytest.fixture
def mnist(tmp_path, monkeypatch) -> Path:
    "A folder with four small files, which count as MNIST while the test runs."
    folder, rng = tmp_path / "mnist", np.random.default_rng(0)
    folder.mkdir()
    shapes = [(40, 28, 28), (40,), (10, 28, 28), (10,)]
    arrays = [rng.integers(0, 10, shape).astype(np.uint8) for shape in shapes]
    for name, array in zip(NAMES, arrays, strict=True):
        (folder / name).write_bytes(idx(array))
    monkeypatch.setattr(sources, "MNIST_SHA256", [hashlib.sha256(array).hexdigest() for array in arrays])
    return folder


def swap(one: Path, other: str) -> None:
    one.rename(one.with_name("aside"))
    one.with_name(other).rename(one)
    one.with_name("aside").rename(one.with_name(other))


def one_pixel(path: Path) -> None:
    images = read_idx(path).copy()
    images[3, 14, 14] ^= 1
    path.write_bytes(idx(images))


NOT_MNIST = "is not as mnist was published"
DAMAGES = {
    "missing": (0, Path.unlink, "put the four IDX files"),
    "cut short": (0, lambda path: os.truncate(path, 999), "is cut short"),
    "longer": (1, lambda path: os.truncate(path, 999), "longer than its header"),
    "one image less": (2, lambda path: path.write_bytes(idx(read_idx(path)[1:])), NOT_MNIST),
    "one pixel": (0, one_pixel, NOT_MNIST),
    "images and labels": (0, lambda path: swap(path, NAMES[1]), NOT_MNIST),
    "train and test": (0, lambda path: swap(path, NAMES[2]), NOT_MNIST),
    "a web page": (3, lambda path: path.write_text("<html>404"), "not an IDX file"),
    "empty": (3, lambda path: path.write_bytes(b""), "not an IDX file"),
    "a folder": (2, lambda path: path.unlink() or path.mkdir(), "put the four IDX files"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_the_folder_is_named_and_never_passed_over(mnist, damage):
    number, break_it, why = DAMAGES[damage]
    break_it(mnist / NAMES[number])
    for source in ("mnist", "auto"):
        with pytest.raises(DataError, match=NAMES[number]) as caught:
            load_mnist(source, mnist)
        assert why in str(caught.value)


def test_the_command_refuses_damaged_data_before_it_makes_a_folder(mnist, tmp_path):
    os.truncate(mnist / NAMES[0], 999)
    line = processes.refused("train", "--out", tmp_path / "run", "--data", "mnist", "--data_dir", mnist)
    assert line.startswith(f"learning_gan_train: {mnist / NAMES[0]} is cut short")
    assert not (tmp_path / "run").exists()


def rename_all(folder: Path, form: str) -> list[bytes]:
    "Give the four files names of another form, packed where it says so; their contents."
    contents = []
    for name in NAMES:
        content = (folder / name).read_bytes()
        contents.append(gzip.compress(content, mtime=0) if form.endswith(".gz") else content)
        (folder / name).unlink()
        path = folder / form.format(name, dots=name.replace("-idx", ".idx"))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(contents[-1])
    return contents


@pytest.mark.parametrize("form", ["{0}.gz", "{dots}", "{0}/{0}", "{0}/{dots}.gz"])
def test_a_folder_is_read_under_the_usual_names_plain_or_packed(mnist, form):
    plain = load_mnist("mnist", mnist)
    rename_all(mnist, form)
    other = load_mnist("mnist", mnist)
    assert other.sha256 == plain.sha256 and (other.test.images == plain.test.images).all()
    assert (len(plain.validation), len(plain.test)) == (40, 10)


@pytest.mark.parametrize("source", ["fashion_mnist", "kmnist"])
def test_a_relative_of_mnist_is_known_by_its_published_files(mnist, monkeypatch, source):
    packed = rename_all(mnist, "{0}.gz")
    why = r"was published.*other images on purpose, use the data 'idx' \(or 'fashion_mnist'"
    with pytest.raises(DataError, match=f"is not as {source} {why}"):
        load_mnist(source, mnist)
    md5 = [hashlib.md5(content).hexdigest() for content in packed]
    monkeypatch.setattr(sources, source, partial(sources._relative, source, md5, "nowhere"))
    found, other = load_mnist(source, mnist), load_mnist("idx", mnist)
    assert (found.name, len(found.validation), found.image_shape) == (source, 40, (28, 28, 1))
    assert (other.name, len(other.train), other.sha256) == ("idx", 40, found.sha256)


class Server(http.server.BaseHTTPRequestHandler):
    "Serves the file well or badly, as the path asks."

    content = b""

    def do_GET(self):
        WAYS[self.path.strip("/")](self)

    def log_message(self, *_):
        "Say nothing."

    def send(self, content=b"", status=200, **headers):
        self.send_response(status)
        for name, value in (headers or {"Content-Length": len(self.content)}).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def drip(self, content):
        "A byte now and then, for as long as the test lasts."
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.server.over.wait(0.05)


WAYS = {
    "whole": lambda to: to.send(to.content),
    "cut": lambda to: to.send(to.content[:-1000]),
    "garbage": lambda to: to.send(bytes(len(to.content))),
    "cut_chunk": lambda to: to.send(b"ffff\r\n" + to.content[:1000], Transfer_Encoding="chunked"),
    "silent": lambda to: to.server.over.wait(60),
    "slow_head": lambda to: to.drip(b"HTTP/1.0 200 OK\r\nX-Slow: " + bytes(9_999)),
    "slow": lambda to: to.send() or to.drip(to.content),
    "endless": lambda to: (
        to.send(Content_Length=1 << 40) or [to.wfile.write(bytes(1 << 20)) for _ in range(999)]
    ),
    "not_http": lambda to: to.wfile.write(b"\x00\x01\x02\r\n\r\n"),
    "missing": lambda to: to.send_error(404),
    "circle": lambda to: to.send(status=302, Location="/circle"),
}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    "Where Keras would keep `mnist.npz`, in an empty home; nothing is found elsewhere."
    monkeypatch.delenv("LEARNING_GAN_DATA", raising=False)
    home = os.fspath(tmp_path / "keras")
    monkeypatch.setattr(keras.src.utils.file_utils.config, "keras_home", lambda: home)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    return tmp_path / "keras" / "datasets" / "mnist.npz"


@pytest.fixture
def download(mnist, cache, monkeypatch):
    """Let the data come from a server on this machine, as `how` says, and twenty times as fast; a small file like
    Keras's. What it gives back are the seconds that each download was allowed.
    """
    buffer, keys = io.BytesIO(), ("x_train", "y_train", "x_test", "y_test")
    np.savez(buffer, **{key: read_idx(mnist / name) for key, name in zip(keys, NAMES, strict=True)})
    handler = type("Handler", (Server,), {"content": buffer.getvalue()})
    get, allowed = keras.utils.get_file, []

    def quick(name, seconds, fetch):
        allowed.append(seconds)
        return fetched(name, seconds / 20, fetch)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads, server.over = True, threading.Event()
        server.handle_error = lambda *_: None  # that a client has had enough is what is tested
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sha256 = hashlib.sha256(handler.content).hexdigest()

        def download(how: str) -> list[float]:
            url = f"http://127.0.0.1:{server.server_port}/{how}"
            here = lambda fname, origin, file_hash: get(fname, url, file_hash=sha256)  # noqa: E731
            monkeypatch.setattr(keras.src.datasets.mnist, "get_file", here)
            monkeypatch.setattr(sources, "fetched", quick)
            return allowed

        download.content = handler.content
        yield download
        server.over.set()
        server.shutdown()


@pytest.mark.parametrize("how", [how for how in WAYS if how != "whole"])
def test_a_bad_download_is_given_up_in_time(download, how):
    "In half a second, where the server would go on for a minute and more."
    download(how)
    start = time.monotonic()
    with pytest.raises(DataUnavailable, match=r"mnist could not be downloaded.*'embedded'$"):
        sources.mnist(seconds=10)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("left", ["nothing", "cut", "another"])
def test_a_good_download_fills_the_cache_whatever_another_left_and_is_read_from_there(
    download, cache, capfd, left
):
    download("whole")
    if left != "nothing":
        cache.write_bytes(download.content[:-1] if left == "cut" else bytes(len(download.content)))
    first = load_mnist("mnist")
    assert [path.name for path in cache.parent.iterdir()] == ["mnist.npz"]
    assert cache.read_bytes() == download.content and len(first.test) == 10
    download("missing")
    assert load_mnist("mnist").sha256 == first.sha256
    assert capfd.readouterr() == ("", "")


def test_auto_waits_ten_seconds_at_most_and_warns_once(download):
    allowed = download("slow")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert load_mnist("auto").name == "embedded"
    assert allowed == [10]
    (warning,) = [w for w in caught if w.category is UserWarning]  # others are of what is collected meanwhile
    assert "could not be downloaded" in str(warning.message)


def test_auto_can_be_told_to_use_the_embedded_digits_at_once(cache, monkeypatch, mnist):
    monkeypatch.setenv("LEARNING_GAN_DATA", "embedded")
    monkeypatch.setattr(sources, "fetched", lambda *_: pytest.fail("nothing is to be looked for"))
    with warnings.catch_warnings(action="error"):
        assert load_mnist().name == "embedded"
    assert load_mnist("auto", mnist).name == "mnist"  # a folder that is given comes first
