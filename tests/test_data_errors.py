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
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning_gan.app import commands as cli
from learning_gan.core.backend import keras
from learning_gan.parts import sources
from learning_gan.parts.data import DataError, DataUnavailable, load_mnist
from learning_gan.parts.sources import STEMS, fetched, idx_path, read_idx

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
    assert message.startswith(f"{file} ")
    assert "fetch it again" in message or "write it as unsigned bytes" in message


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
    assert peak < 3 * sources.MAX_IDX_BYTES


@pytest.mark.parametrize(
    "shape", [(2**32 - 1,) * 3, (60_001, 28, 28), (0, 2**32 - 1, 2**32 - 1), (47_040_001,)]
)
def test_a_header_that_announces_too_much_is_refused_unread(file, shape):
    file.write_bytes(bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape))
    with pytest.raises(DataError, match="more than such a file can hold"):
        read_idx(file)


@pytest.mark.parametrize(
    "magic", [b"\0\0\x0a\x01", b"\0\0\x08\x00", b"\0\0\x08\x05", b"\1\0\x08\x01", b"\x89PNG"]
)
def test_a_wrong_magic_number_is_refused(file, magic):
    file.write_bytes(magic + struct.pack(">I", 1) + b"!")
    with pytest.raises(DataError, match="not an IDX file of unsigned bytes: fetch it again"):
        read_idx(file)


def test_an_idx_file_of_floats_is_told_what_it_is(file):
    file.write_bytes(b"\0\0\x0d\x01" + struct.pack(">If", 1, 0.5))
    with pytest.raises(DataError, match="is an IDX file of floats: write it as unsigned bytes"):
        read_idx(file)


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "nowhere", Path(os.devnull)):
        with pytest.raises(DataError, match="cannot be read"):
            read_idx(path)


# The folder of four files

NAMES = [f"{stem}-idx{dimensions[0]}-ubyte" for stem, dimensions in STEMS.items()]


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


NOT_MNIST = "is not as mnist was published"
DAMAGES = {
    "missing": (lambda folder: (folder / NAMES[0]).unlink(), NAMES[0], "put the four IDX files"),
    "cut short": (lambda folder: os.truncate(folder / NAMES[0], 999), NAMES[0], "is cut short"),
    "longer": (lambda folder: os.truncate(folder / NAMES[1], 999), NAMES[1], "longer than its header"),
    "one image less": (
        lambda folder: rewrite(folder / NAMES[2], lambda a: a[1:]),
        NAMES[2],
        NOT_MNIST,
    ),
    "one pixel": (lambda folder: rewrite(folder / NAMES[0], one_pixel), NAMES[0], NOT_MNIST),
    "images and labels": (lambda folder: swap(folder, *NAMES[:2]), NAMES[0], NOT_MNIST),
    "train and test": (lambda folder: swap(folder, NAMES[0], NAMES[2]), NAMES[0], NOT_MNIST),
    "a web page": (lambda folder: (folder / NAMES[3]).write_text("<html>404"), NAMES[3], "not an IDX file"),
    "empty": (lambda folder: (folder / NAMES[3]).write_bytes(b""), NAMES[3], "not an IDX file"),
    "a folder": (lambda folder: make_folder(folder / NAMES[2]), NAMES[2], "put the four IDX files"),
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
        cli.train_command(["--out", str(tmp_path / "run"), "--data", "mnist", "--data_dir", str(mnist)])
    assert end.value.code.startswith(f"learning_gan_train: {mnist / NAMES[0]} is cut short")
    assert "\n" not in end.value.code and not (tmp_path / "run").exists()


# Names as they come, and images of one's own


@pytest.mark.parametrize("form", ["{}", "{}.gz", "{dots}", "{}/{}", "{}/{dots}.gz"])
def test_the_usual_names_are_found(tmp_path, form):
    for stem, name in zip(STEMS, NAMES, strict=True):
        path = tmp_path / form.format(name, name, dots=name.replace("-idx", ".idx"))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        assert idx_path(tmp_path, stem) == path


@pytest.mark.parametrize("source", ["fashion_mnist", "kmnist"])
def test_a_relative_of_mnist_is_known_by_its_published_files(mnist, monkeypatch, source):
    packed = {name: gzip.compress((mnist / name).read_bytes(), mtime=0) for name in NAMES}
    for name, content in packed.items():
        (mnist / f"{name}.gz").write_bytes(content)
        (mnist / name).unlink()
    with pytest.raises(DataError, match=f"is not as {source} was published.*use the data 'idx'"):
        load_mnist(source, mnist)
    md5 = [hashlib.md5(packed[name]).hexdigest() for name in NAMES]
    monkeypatch.setattr(sources, source, partial(sources._relative, source, md5, "nowhere"))
    found = load_mnist(source, mnist)
    assert found.name == source and len(found.validation) == 40 and found.image_shape == (28, 28, 1)
    other = load_mnist("idx", mnist)
    assert other.name == "idx" and len(other.train) == 40 and other.sha256 == found.sha256


def test_colour_and_columns_of_labels_are_read_under_any_name(tmp_path):
    colour = np.zeros((5, 8, 8, 3), np.uint8)
    (tmp_path / "train-images-idx4-ubyte.gz").write_bytes(gzip.compress(idx(colour)))
    (tmp_path / "train-labels-idx2-ubyte").write_bytes(idx(np.arange(5, dtype=np.uint8)[:, None]))
    found = load_mnist("idx", tmp_path)
    assert found.image_shape == (8, 8, 3) and found.train.labels.tolist() == [0, 1, 2, 3, 4]


def test_other_images_under_mnists_names_are_told_what_to_do(mnist):
    rewrite(mnist / NAMES[0], one_pixel)
    with pytest.raises(
        DataError, match=r"if these are other images on purpose, use the data 'idx' \(or 'fashion_mnist'"
    ):
        load_mnist("mnist", mnist)


# The cache, and what fills it


@pytest.fixture
def npz(mnist) -> bytes:
    "A small file like Keras's `mnist.npz`."
    buffer = io.BytesIO()
    keys = ("x_train", "y_train", "x_test", "y_test")
    np.savez(buffer, **{key: read_idx(mnist / name) for key, name in zip(keys, NAMES, strict=True)})
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    "An empty home for Keras; nothing is found elsewhere."
    monkeypatch.delenv("LEARNING_GAN_DATA", raising=False)
    (tmp_path / "keras").mkdir()
    monkeypatch.setattr(
        keras.src.utils.file_utils.config, "keras_home", lambda: os.fspath(tmp_path / "keras")
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path / "keras" / "datasets" / "mnist.npz"


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
def test_a_bad_download_is_given_up_in_time(server, npz, cache, monkeypatch, how):
    download_from(monkeypatch, f"{server}/{how}", npz)
    start = time.monotonic()
    with pytest.raises(DataUnavailable, match=r"mnist could not be downloaded.*'embedded'$"):
        sources.mnist(seconds=10)
    assert time.monotonic() - start < 2.5


def download_from(monkeypatch, url: str, npz: bytes) -> list[float]:
    "Let the data come from here, twenty times as fast; the seconds that each download was allowed."
    allowed, get = [], keras.utils.get_file

    def get_here(fname, origin, file_hash):
        return get(fname, url, file_hash=hashlib.sha256(npz).hexdigest())

    def quick(name, seconds, fetch):
        allowed.append(seconds)
        return fetched(name, seconds / 20, fetch)

    monkeypatch.setattr(keras.src.datasets.mnist, "get_file", get_here)
    monkeypatch.setattr(sources, "fetched", quick)
    return allowed


def test_a_good_download_fills_the_cache_and_is_read_from_there(server, npz, cache, monkeypatch, capfd):
    download_from(monkeypatch, f"{server}/whole", npz)
    first = load_mnist("mnist")
    assert [path.name for path in cache.parent.iterdir()] == ["mnist.npz"]
    download_from(monkeypatch, f"{server}/missing", npz)
    assert load_mnist("mnist").sha256 == first.sha256
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("left", ["cut", "another"])
def test_what_a_broken_download_left_is_fetched_again(server, cache, npz, monkeypatch, left):
    download_from(monkeypatch, f"{server}/whole", npz)
    cache.parent.mkdir()
    cache.write_bytes(npz[:-1] if left == "cut" else bytes(len(npz)))
    assert len(load_mnist("mnist").test) == 10
    assert cache.read_bytes() == npz


def test_auto_waits_ten_seconds_at_most_and_warns_once(server, npz, cache, monkeypatch):
    allowed = download_from(monkeypatch, f"{server}/slow", npz)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert load_mnist("auto").name == "embedded"
    assert allowed == [10]
    (warning,) = [
        w for w in caught if w.category is UserWarning
    ]  # others may come from what is collected meanwhile
    assert "could not be downloaded" in str(warning.message)


def test_auto_can_be_told_to_use_the_embedded_digits_at_once(cache, monkeypatch, mnist):
    def never(*_):
        raise AssertionError("nothing is to be looked for")

    monkeypatch.setenv("LEARNING_GAN_DATA", "embedded")
    monkeypatch.setattr(sources, "fetched", never)
    with warnings.catch_warnings(action="error"):
        assert load_mnist().name == "embedded"
    assert load_mnist("auto", mnist).name == "mnist"  # a folder that is given comes first
