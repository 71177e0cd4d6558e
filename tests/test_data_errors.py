"""Data that is damaged, swapped, hostile or half downloaded is refused by name, in bounded memory and time."""

import gzip
import hashlib
import http.server
import io
import os
import struct
import threading
import time
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning_gan import cli, data
from learning_gan.data import DataError, DataUnavailable, download_mnist, load_mnist, read_idx

STEADY = settings(deadline=None, derandomize=True, database=None, max_examples=200)


def idx(array: np.ndarray) -> bytes:
    "An array of bytes as an IDX file."
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    "A place for one file after the other."
    return tmp_path_factory.mktemp("idx") / "file"


# IDX

ARRAYS = st.lists(st.integers(0, 9), min_size=1, max_size=3).flatmap(
    lambda shape: st.binary(min_size=int(np.prod(shape)), max_size=int(np.prod(shape))).map(
        lambda content: np.frombuffer(content, np.uint8).reshape(shape)
    )
)


@STEADY
@given(array=ARRAYS, packed=st.booleans())
def test_any_array_comes_back(file, array, packed):
    file.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    read = read_idx(file)
    assert read.dtype == np.uint8 and read.shape == array.shape and (read == array).all()


def read_or_refuse(file: Path, content: bytes) -> None:
    "Reading gives an array, or an error that names the file in one line."
    file.write_bytes(content)
    try:
        assert read_idx(file).dtype == np.uint8
    except DataError as error:
        message = str(error)
    else:
        return
    assert message.startswith(f"{file} ") and "fetch it again" in message


@STEADY
@given(content=st.binary(max_size=64) | st.binary(max_size=64).map(lambda rest: b"\0\0\x08" + rest))
def test_any_bytes_are_read_or_refused_by_name(file, content):
    read_or_refuse(file, content)
    read_or_refuse(file, gzip.compress(content))


@STEADY
@given(array=ARRAYS, packed=st.booleans(), where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_changed_byte_is_read_or_refused_by_name(file, array, packed, where, flip):
    content = bytearray(gzip.compress(idx(array)) if packed else idx(array))
    content[int(where * len(content))] ^= flip
    read_or_refuse(file, bytes(content))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_cut_anywhere_is_refused(file, pack):
    whole = pack(idx(np.arange(12, dtype=np.uint8).reshape(3, 4)))
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cannot be read|cut short|not an IDX file|within its header"):
            read_idx(file)


def zeros(count: int, header: bytes) -> bytes:
    "A gzip file of a header and that many zeros."
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(header)] + [packer.compress(bytes(1 << 20)) for _ in range(count >> 20)]
    return b"".join(parts) + packer.flush()


@pytest.mark.parametrize("images", [1, 60_000])
def test_a_gzip_bomb_is_refused_in_bounded_memory(file, images):
    file.write_bytes(
        zeros(256 << 20, idx(np.empty((0, 28, 28), np.uint8))[:4] + struct.pack(">III", images, 28, 28))
    )
    assert file.stat().st_size < 1 << 20
    tracemalloc.start()
    with pytest.raises(DataError, match="longer than its header says"):
        read_idx(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * data.MAX_IDX_BYTES


@pytest.mark.parametrize(
    "shape", [(2**32 - 1,) * 3, (60_001, 28, 28), (0, 2**32 - 1, 2**32 - 1), (47_040_001,)]
)
def test_a_header_that_announces_too_much_is_refused_unread(file, shape):
    file.write_bytes(bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape))
    with pytest.raises(DataError, match="more than any file of MNIST"):
        read_idx(file)


@pytest.mark.parametrize(
    "magic", [b"\0\0\x09\x01", b"\0\0\x08\x00", b"\0\0\x08\x04", b"\1\0\x08\x01", b"\x89PNG"]
)
def test_a_wrong_magic_number_is_refused(file, magic):
    file.write_bytes(magic + struct.pack(">I", 1) + b"!")
    with pytest.raises(DataError, match="not an IDX file of unsigned bytes"):
        read_idx(file)


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "nowhere", Path(os.devnull)):
        with pytest.raises(DataError, match="cannot be read"):
            read_idx(path)


# The folder of four files

NAMES = list(data.MNIST_FILES)


@pytest.fixture
def mnist(tmp_path, monkeypatch) -> Path:
    "A folder with four small files, which count as MNIST while the test runs."
    folder, rng = tmp_path / "mnist", np.random.default_rng(0)
    folder.mkdir()
    shapes = [(40, 28, 28), (40,), (10, 28, 28), (10,)]
    arrays = [rng.integers(0, 10, shape).astype(np.uint8) for shape in shapes]
    hashes = {}
    for name, array in zip(NAMES, arrays, strict=True):
        (folder / name).write_bytes(idx(array))
        hashes[name] = hashlib.sha256(array).hexdigest()
    monkeypatch.setattr(data, "MNIST_FILES", hashes)
    return folder


def test_the_small_folder_loads_plain_and_packed(mnist):
    plain = load_mnist("mnist", mnist)
    for name in NAMES:
        (mnist / f"{name}.gz").write_bytes(gzip.compress((mnist / name).read_bytes()))
        (mnist / name).unlink()
    packed = load_mnist("mnist", mnist)
    assert packed.sha256 == plain.sha256 and len(plain.validation) == 40 and len(plain.test) == 10
    assert (packed.test.images == plain.test.images).all()


def swap(folder: Path, one: str, other: str) -> None:
    (folder / one).rename(folder / "aside")
    (folder / other).rename(folder / one)
    (folder / "aside").rename(folder / other)


def rewrite(path: Path, change) -> None:
    path.write_bytes(idx(change(read_idx(path).copy())))


def one_pixel(images: np.ndarray) -> np.ndarray:
    images[3, 14, 14] ^= 1
    return images


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = {
    "missing": (lambda folder: (folder / NAMES[0]).unlink(), NAMES[0], "put the four IDX files"),
    "cut short": (lambda folder: os.truncate(folder / NAMES[0], 999), NAMES[0], "is cut short"),
    "longer": (lambda folder: os.truncate(folder / NAMES[1], 999), NAMES[1], "longer than its header"),
    "one image less": (
        lambda folder: rewrite(folder / NAMES[2], lambda a: a[1:]),
        NAMES[2],
        "not the original",
    ),
    "one pixel": (lambda folder: rewrite(folder / NAMES[0], one_pixel), NAMES[0], "not the original"),
    "images and labels": (lambda folder: swap(folder, *NAMES[:2]), NAMES[0], "not the original"),
    "train and test": (lambda folder: swap(folder, NAMES[0], NAMES[2]), NAMES[0], "not the original"),
    "a web page": (lambda folder: (folder / NAMES[3]).write_text("<html>404"), NAMES[3], "not an IDX file"),
    "empty": (lambda folder: (folder / NAMES[3]).write_bytes(b""), NAMES[3], "not an IDX file"),
    "a folder": (lambda folder: make_folder(folder / NAMES[2]), NAMES[2], "cannot be read"),
}


@pytest.mark.parametrize("source", ["mnist", "auto"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_the_folder_is_named_and_never_passed_over(mnist, damage, source):
    break_it, name, why = DAMAGES[damage]
    break_it(mnist)
    with pytest.raises(DataError, match=name) as caught:
        load_mnist(source, mnist)
    assert why in str(caught.value)


def test_the_command_refuses_damaged_data_before_it_makes_a_folder(mnist, tmp_path):
    os.truncate(mnist / NAMES[0], 999)
    with pytest.raises(SystemExit) as end:
        cli.train_command(os.fspath(tmp_path / "run"), data="mnist", data_dir=os.fspath(mnist))
    assert end.value.code.startswith(f"learning_gan_train: {mnist / NAMES[0]} is cut short")
    assert "\n" not in end.value.code and not (tmp_path / "run").exists()


# The cache, and what fills it


@pytest.fixture
def npz(mnist, monkeypatch) -> bytes:
    "A file that counts as Keras's `mnist.npz` while the test runs."
    buffer = io.BytesIO()
    keys = ("x_train", "y_train", "x_test", "y_test")
    np.savez(buffer, **{key: read_idx(mnist / name) for key, name in zip(keys, NAMES, strict=True)})
    content = buffer.getvalue()
    monkeypatch.setattr(data, "MNIST_NPZ_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(data, "MNIST_NPZ_BYTES", len(content))
    return content


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    "An empty home for Keras; nothing is found elsewhere."
    monkeypatch.delenv("LEARNING_GAN_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", os.fspath(tmp_path / "keras"))
    monkeypatch.chdir(tmp_path)
    return data.keras_cache()


class Server(http.server.BaseHTTPRequestHandler):
    "Serves the file well or badly, as the path asks."

    content = b""

    def do_GET(self):
        getattr(self, self.path.strip("/"))()

    def log_message(self, *_):
        "Say nothing."

    def head(self, length, **headers):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def whole(self):
        self.head(len(self.content))
        self.wfile.write(self.content)

    def cut(self):
        self.head(len(self.content))
        self.wfile.write(self.content[:-1000])

    def cut_chunk(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"ffff\r\n" + self.content[:1000])

    def silent(self):
        time.sleep(3)

    def slow_head(self):
        self.drip(b"HTTP/1.0 200 OK\r\nX-Slow: " + bytes(1000))

    def slow(self):
        self.head(len(self.content))
        self.drip(self.content)

    def drip(self, content):
        for byte in content[:60]:
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def garbage(self):
        self.head(len(self.content))
        self.wfile.write(bytes(len(self.content)))

    def endless(self):
        self.head(1 << 40)
        for _ in range(1000):
            self.wfile.write(bytes(1 << 20))

    def not_http(self):
        self.wfile.write(b"\x00\x01\x02\r\n\r\n")

    def missing(self):
        self.send_error(404)

    def circle(self):
        self.send_response(302)
        self.send_header("Location", "/circle")
        self.end_headers()


@pytest.fixture
def server(npz):
    "The address of a server on this machine."
    handler = type("Handler", (Server,), {"content": npz})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # that a client has had enough is what is tested
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


BAD_SERVERS = [
    "cut", "cut_chunk", "silent", "slow_head", "slow", "garbage", "endless", "not_http", "missing", "circle"
]  # fmt: skip


@pytest.mark.parametrize("how", BAD_SERVERS)
def test_a_bad_download_is_given_up_in_time_and_leaves_nothing(server, cache, how):
    start = time.monotonic()
    with pytest.raises(DataUnavailable, match=r"could not be downloaded.*'embedded'$"):
        download_mnist(cache, 0.5, f"{server}/{how}")
    assert time.monotonic() - start < 2.5
    assert not cache.parent.exists()


def download_from(monkeypatch, url: str) -> list[float]:
    "Let the data come from here, twenty times as fast; the seconds that each download was allowed."
    allowed = []

    def download(path, seconds):
        allowed.append(seconds)
        download_mnist(path, seconds / 20, url)

    monkeypatch.setattr(data, "download_mnist", download)
    return allowed


def test_a_good_download_fills_the_cache_and_is_read_from_there(server, cache, monkeypatch):
    download_from(monkeypatch, f"{server}/whole")
    first = load_mnist("mnist")
    assert [path.name for path in cache.parent.iterdir()] == ["mnist.npz"]
    download_from(monkeypatch, f"{server}/missing")
    assert load_mnist("mnist").sha256 == first.sha256


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(server, tmp_path, cache, monkeypatch):
    download_from(monkeypatch, f"{server}/whole")
    (tmp_path / "keras").write_text("a file where the folder should be")
    with pytest.raises(DataUnavailable, match="could not be downloaded"):
        load_mnist("mnist")
    with pytest.warns(UserWarning, match="using the 5,000 embedded digits"):
        assert load_mnist("auto").name == "embedded"


def test_auto_waits_ten_seconds_at_most_and_warns_once(server, cache, monkeypatch):
    allowed = download_from(monkeypatch, f"{server}/slow")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert load_mnist("auto").name == "embedded"
    assert allowed == [10] and not cache.parent.exists()
    assert len(caught) == 1 and "could not be downloaded" in str(caught[0].message)


DAMAGED_CACHES = {
    "cut": lambda cache, npz: cache.write_bytes(npz[:-1]),
    "longer": lambda cache, npz: cache.write_bytes(npz + b"!"),
    "another": lambda cache, npz: cache.write_bytes(bytes(len(npz))),
    "a folder": lambda cache, npz: cache.mkdir(),
}


@pytest.mark.parametrize("damage", DAMAGED_CACHES)
def test_a_damaged_cache_is_named_and_never_unpacked(cache, npz, damage, monkeypatch):
    cache.parent.mkdir(parents=True)
    DAMAGED_CACHES[damage](cache, npz)
    monkeypatch.setattr(data.np, "load", None)
    for source in ("mnist", "auto"):
        with pytest.raises(DataError, match=f"delete {cache}, and it is fetched again"):
            load_mnist(source)
