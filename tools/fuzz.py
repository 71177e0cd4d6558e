"""Fuzz what reads files from strangers: anything but an answer that is in order or the named error is a crash.

`make fuzz RUNS=100000` gives each target that many inputs, in a process of its own. A crash leaves its input in the
folder that is named; it belongs into an ordinary test of the same reader.
"""

import io
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["learning_gan", "zipfile", "gzip", "json", "csv", "numpy.lib"]):
    import gzip
    import json
    import zipfile

    import numpy as np

    from learning_gan.parts.data import DataError
    from learning_gan.parts.networks import build_networks
    from learning_gan.parts.recipes import HyperParameters
    from learning_gan.parts.sources import MAX_IDX_BYTES, read_idx
    from learning_gan.run import folder
    from learning_gan.run.checkpoints import load_checkpoint, save_checkpoint
    from learning_gan.run.model import by_name

HP, SHAPE = HyperParameters(z_size=4, g_hidden_size=3, d_hidden_size=2, epochs=2), (3, 3, 1)
DATA = {"name": "embedded", "sha256": "0" * 64, "image_shape": list(SHAPE)}
CONFIG = {"format": folder.FORMAT, "recipe": asdict(HP), "seed": 0, "data": DATA}
VARIABLES = by_name("generator", build_networks(HP, 0, SHAPE)[0].variables)
COLUMNS = folder.history_columns(["d_loss", "g_loss"], ["nearest"])
MEMORY = Path("/dev/shm")  # where there is one, no disk is worn out


# What a file is made of: any bytes where an input begins low, else something nearer to what is read


def idx(given: bytes) -> bytes:
    return gzip.compress(given[1:], 1) if given[:1] > b"\x7f" else given[1:]


def json_value(given, depth=0):
    "Something that JSON can say."
    kind = given.ConsumeIntInRange(0, 9)
    if kind == 0 and depth < 4:
        return [json_value(given, depth + 1) for _ in range(given.ConsumeIntInRange(0, 3))]
    if kind == 1 and depth < 4:
        return {given.ConsumeUnicode(6): json_value(given, depth + 1)}
    return (None, True, given.ConsumeInt(9), given.ConsumeFloat(), given.ConsumeUnicode(20))[kind % 5]


def config(given: bytes) -> bytes:
    "The configuration with an entry that is changed."
    if given[:1] < b"\x80":
        return given[1:]
    given, changed = atheris.FuzzedDataProvider(given[1:]), json.loads(json.dumps(CONFIG))
    place = given.PickValueInList([changed, changed["recipe"], changed["data"]])
    place[given.PickValueInList([*place, given.ConsumeUnicode(5)])] = json_value(given)
    return json.dumps(changed).encode()


def history(given: bytes) -> bytes:
    "Any rows under the right head."
    return (",".join(COLUMNS.names).encode() + b"\n" if given[:1] > b"\x3f" else b"") + given[1:]


def npy(given) -> bytes:
    "An array's file: any bytes, any header, or a header of our form."
    kind = given.ConsumeIntInRange(0, 3)
    if kind == 0:
        return given.ConsumeBytes(200)
    header = given.ConsumeBytes(100)
    if kind > 1:
        kinds = ["'<f4'", "'>f4'", "'|O'", "'<i8'", "[('epoch', '<i4')]", "'<U9'", "'|V7'"]
        dtype, order = given.PickValueInList(kinds), given.PickValueInList(["False", "True", "None"])
        shape = tuple(given.ConsumeIntInRange(-1, 20) for _ in range(given.ConsumeIntInRange(0, 5)))
        header = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    version = given.PickValueInList([b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\4\0"])
    length = len(header).to_bytes(2 if version == b"\1\0" else 4, "little")
    return b"\x93NUMPY" + version + length + header + given.ConsumeBytes(800)


def npz(given: bytes) -> bytes:
    "An archive of arrays, sometimes with a few bytes changed."
    if given[:1] < b"\x20":
        return given[1:]
    provider, buffer = atheris.FuzzedDataProvider(given[1:]), io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # the same name twice
        for _ in range(provider.ConsumeIntInRange(1, 3)):
            name = provider.PickValueInList([*VARIABLES, provider.ConsumeUnicode(5)])
            with suppress(UnicodeEncodeError, IndexError):  # half a character, or none, is no name
                archive.writestr(f"{name}.npy", npy(provider))
    content = bytearray(buffer.getvalue())
    for _ in range(provider.ConsumeIntInRange(0, 3) if given[:1] > b"\xbf" else 0):
        content[provider.ConsumeIntInRange(0, len(content) - 1)] = provider.ConsumeIntInRange(0, 255)
    return bytes(content)


def samples(given: bytes) -> bytes:
    "An array's file."
    return given[1:] if given[:1] < b"\x40" else npy(atheris.FuzzedDataProvider(given[1:]))


# What is read, and what an answer has to be


def finite_losses(h) -> bool:
    return all(np.isfinite(h[key]).all() for key in COLUMNS.names[1:5])


def right_samples(s) -> bool:
    right = s.dtype == np.float32 and s.shape[1:] == (folder.N_SAMPLES, *SHAPE)
    return right and bool((np.abs(s) <= 1).all())


def right_weights(found) -> bool:
    return all(np.isfinite(array).all() and array.dtype == np.float32 for array in found[1].values())


def written(write, *arguments):
    "The seeds of a target that has a writer: what it writes, and bytes that lead elsewhere."

    def seeds(run, path):
        write(run, *arguments)
        return [b"\0" + path.read_bytes(), b"\x7f" + bytes(range(200)), b"\xff" + bytes(200)]

    return seeds


IDX = b"\0\0\x08\3" + b"".join(n.to_bytes(4, "big") for n in (2, 3, 3)) + bytes(18)
ROWS = np.array([(1, 1.3, 0.8, 1.25, 0.9, np.nan), (2, 1e-7, 4, 0, 1, np.nan)], COLUMNS)
WEIGHTS = {name: v.numpy() for name, v in VARIABLES.items()}


@dataclass
class Target:
    "A reader, given the path of a file that is made of an input."

    file: str
    make: Callable
    read: Callable  # of (run, path)
    error: type
    in_order: Callable  # of the answer
    longest: int  # bytes of an input
    seeds: Callable  # of (run, path)

    def __call__(self, run, given: bytes) -> None:
        "Read: what comes back is in order, or the error names the file, or its folder, and says what to do."
        path = run / self.file
        path.write_bytes(self.make(given))
        try:
            with warnings.catch_warnings(record=True):
                answer = self.read(run, path)
        except self.error as refusal:
            message, places = str(refusal), (str(path), f"no checkpoint in {path.parent}")
            assert message.startswith(places) and ": " in message, message
        else:
            assert self.in_order(answer), answer


def run_reader(file, make, read, in_order, longest, *seeds) -> Target:
    "A target that reads a run folder."
    given = file, make, lambda run, path: read(run), folder.RunError, in_order, longest
    return Target(*given, written(*seeds))


TARGETS = {
    "idx": Target(
        *("idx", idx, lambda run, path: read_idx(path), DataError, lambda a: a.nbytes <= MAX_IDX_BYTES, 256),
        lambda run, path: [b"\0" + IDX, b"\xff" + IDX, b"\0" + gzip.compress(IDX), b"\0\0\0\x08\1\0\0\0\1\7"],
    ),
    "config": run_reader(
        *("config.json", config, folder.read_config, lambda c: HyperParameters(**c["recipe"]), 1_024),
        *(folder.write_config, CONFIG),
    ),
    "history": run_reader(
        *("history.csv", history, folder.read_history, finite_losses, 512, folder.write_history, ROWS)
    ),
    "samples": run_reader(
        *("samples/epoch_00001.npy", samples, folder.read_samples, right_samples, 2_048),
        *(folder.save_samples, 1, np.zeros((folder.N_SAMPLES, *SHAPE), np.float32)),
    ),
    "checkpoint": run_reader(
        *("checkpoints/epoch_00001.npz", npz, lambda run: load_checkpoint(run, VARIABLES), right_weights),
        *(4_096, save_checkpoint, 1, WEIGHTS),
    ),
}


def main() -> None:
    "Give the target of the command line so many inputs; ends with the process, whose status says whether all was well."
    name, count = sys.argv[1:]
    place = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-", dir=MEMORY if MEMORY.is_dir() else None))
    target, run, corpus = TARGETS[name], place / "run", place / "corpus"
    for part in (run / "checkpoints", run / "samples", corpus):
        part.mkdir(parents=True)
    folder.write_config(run, CONFIG)
    for number, seed in enumerate(target.seeds(run, run / target.file)):
        (corpus / str(number)).write_bytes(seed)
    options = [f"-runs={count}", f"-max_len={target.longest}", "-timeout=20", "-rss_limit_mb=4096"]
    options += ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={place}/", os.fspath(corpus)]
    print(f"{name}: what crashes it is left in {place}", flush=True)
    atheris.Setup([sys.argv[0], *options], lambda given: target(run, given))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
