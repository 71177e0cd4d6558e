"""Fuzz what reads files from strangers: anything but an answer that is in order or the named error is a crash.

`make fuzz RUNS=100000` gives each target that many inputs, in a process of its own: Atheris, which looks for inputs
that reach new code, makes the choices that Hypothesis asks for. What crashed is left in the folder that is named, as
the file that was read; it belongs into an ordinary test of the same reader.
"""

import io
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["learning_gan", "zipfile", "gzip", "json", "csv", "numpy.lib"]):
    import gzip
    import json
    import zipfile

    import numpy as np

    from learning_gan.core.files import write_json
    from learning_gan.parts.data import DataError
    from learning_gan.parts.networks import build_networks
    from learning_gan.parts.recipes import HyperParameters
    from learning_gan.parts.sources import MAX_IDX_BYTES, read_idx
    from learning_gan.run import folder
    from learning_gan.run.checkpoints import load_checkpoint

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

HP, SHAPE = HyperParameters(z_size=4, g_hidden_size=3, d_hidden_size=2, epochs=2), (3, 3, 1)
DATA = {"name": "embedded", "sha256": "0" * 64, "image_shape": list(SHAPE)}
CONFIG = {"format": folder.FORMAT, "recipe": asdict(HP), "seed": 0, "data": DATA}
VARIABLES = {f"generator/{variable.path}": variable for variable in build_networks(HP, 0, SHAPE)[0].variables}
COLUMNS = folder.history_columns(["d_loss", "g_loss"], ["nearest"])
MEMORY = Path("/dev/shm")  # where there is one, no disk is worn out


# What a file is made of: any bytes, or something nearer to what is read, with a few bytes changed


@st.composite
def damaged(draw, files):
    "A file of a strategy with up to three bytes changed, or none."
    content = bytearray(draw(files))
    for _ in range(draw(st.integers(0, 3)) if content else 0):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content)


ANY = st.binary(max_size=1_024)
IDX = b"\0\0\x08\3" + b"".join(n.to_bytes(4, "big") for n in (2, 3, 3)) + bytes(18)
PLAIN = damaged(st.just(IDX)) | ANY.map(lambda rest: IDX[:4] + rest) | ANY
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)
HEAD = ",".join(COLUMNS.names).encode() + b"\n1,1.3,.8,1.25,.9,\n"
DTYPES = st.just(np.dtype("f4")) | arrays.scalar_dtypes() | arrays.nested_dtypes()
SHAPES = st.just((folder.N_SAMPLES, *SHAPE)) | st.sampled_from([tuple(v.shape) for v in VARIABLES.values()])


@st.composite
def config(draw):
    "The configuration with an entry that is changed."
    changed = json.loads(json.dumps(CONFIG))
    place = draw(st.sampled_from([changed, changed["recipe"], changed["data"]]))
    place[draw(st.sampled_from([*place]) | st.text(max_size=5))] = draw(JSON)
    return json.dumps(changed).encode()


@st.composite
def npy(draw):
    "An array's file."
    shapes, buffer = SHAPES | arrays.array_shapes(min_dims=0, max_dims=5, max_side=5), io.BytesIO()
    np.save(buffer, draw(arrays.arrays(DTYPES, shapes)))
    return buffer.getvalue()


@st.composite
def npz(draw):
    "An archive of arrays, sometimes all that a checkpoint has."
    others = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5)
    names = st.lists(st.sampled_from([*VARIABLES]) | others, max_size=3)
    buffer, named = io.BytesIO(), draw(st.just([*VARIABLES]) | names)
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in named:
            archive.writestr(f"{name}.npy", draw(damaged(npy()) | ANY))
    return buffer.getvalue()


# What is read, and what an answer has to be


def right_samples(s) -> bool:
    right = s.dtype == np.float32 and s.shape[1:] == (folder.N_SAMPLES, *SHAPE)
    return right and bool((np.abs(s) <= 1).all())


@dataclass
class Target:
    "A reader, given the path of a file; where it reads a run folder, the file lies in it."

    file: str
    contents: st.SearchStrategy
    read: Callable  # of (run, path)
    in_order: Callable  # of the answer
    error: type = folder.RunError

    def __call__(self, run, content: bytes) -> None:
        "Read: what comes back is in order, or the error names the file, or its folder, and says what to do."
        path = run / self.file
        path.write_bytes(content)
        try:
            answer = self.read(run, path)
        except self.error as refusal:
            message = str(refusal).removeprefix("no checkpoint can be used: ")
            assert message.startswith((str(path), f"no checkpoint in {path.parent}")), message
        else:
            assert self.in_order(answer), answer


TARGETS = {
    "idx": Target(
        *("idx", PLAIN | PLAIN.map(gzip.compress) | damaged(PLAIN.map(gzip.compress))),
        *(lambda run, path: read_idx(path), lambda a: a.nbytes <= MAX_IDX_BYTES, DataError),
    ),
    "config": Target(
        *("config.json", config() | damaged(config()) | ANY),
        *(lambda run, path: folder.read_config(run), lambda c: HyperParameters(**c["recipe"])),
    ),
    "history": Target(
        *("history.csv", damaged(st.just(HEAD)) | ANY.map(lambda rest: HEAD + rest) | ANY),
        lambda run, path: folder.read_history(run),
        lambda h: all(np.isfinite(h[key]).all() for key in COLUMNS.names[1:5]),
    ),
    "samples": Target(
        *("samples/epoch_00001.npy", npy() | damaged(npy()) | ANY),
        *(lambda run, path: folder.read_samples(run), right_samples),
    ),
    "checkpoint": Target(
        *("checkpoints/epoch_00001.npz", npz() | damaged(npz()) | ANY),
        lambda run, path: load_checkpoint(run, VARIABLES),
        lambda found: all(np.isfinite(a).all() and a.dtype == np.float32 for a in found[1].values()),
    ),
}


def main() -> None:
    "Give the target of the command line so many inputs; ends with the process, whose status says whether all was well."
    name, count = sys.argv[1:]
    warnings.simplefilter("ignore")  # such as of a name that an archive has twice
    place = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-", dir=MEMORY if MEMORY.is_dir() else None))
    target, run = TARGETS[name], place / "run"
    for part in (run / "checkpoints", run / "samples"):
        part.mkdir(parents=True)
    write_json(run / "config.json", CONFIG)
    options = [f"-runs={count}", "-max_len=8192", "-len_control=0", "-timeout=20", "-rss_limit_mb=4096"]
    options += ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={place}/"]
    print(f"{name}: what crashes it is left in {run / target.file}", flush=True)

    @given(target.contents)
    def tried(content):
        target(run, content)

    atheris.Setup([sys.argv[0], *options], tried.hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
