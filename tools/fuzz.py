"""Fuzz what reads files from strangers: anything but an answer that is in order or the named error is a crash.

`make fuzz RUNS=100000` gives each target that many inputs, in a process of its own, and prints a table. A crash leaves
its input in a folder that is named at the end; it belongs into an ordinary test of the same reader.
"""

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["learning_gan", "zipfile", "gzip", "json", "csv", "numpy.lib"]):
    import gzip
    import json
    import zipfile

    import numpy as np

    from learning_gan import checkpoints, data, runs, sources
    from learning_gan.adversarial import by_path
    from learning_gan.network import build_networks
    from learning_gan.recipe import HyperParameters

HP = HyperParameters(input_size=9, z_size=4, g_hidden_size=3, d_hidden_size=2, epochs=2)
DATA = {"name": "embedded", "sha256": "0" * 64, "image_shape": [3, 3, 1]}
CONFIG = {"format": runs.FORMAT, "recipe": asdict(HP), "seed": 0, "data": DATA}
VARIABLES = by_path("generator", build_networks(HP, 0)[0].variables)
MEMORY = Path("/dev/shm")  # where there is one, no disk is worn out


# A target takes the folder to work in, whose config.json is in order, and an input


def read_or_refuse(read, named: Path, error: type, in_order) -> None:
    "Read: what comes back is in order, or the error names the file and says what to do."
    try:
        answer = read()
    except error as refusal:
        message = str(refusal)
        assert message.startswith(str(named)) and ": " in message, message
    else:
        assert in_order(answer), answer


def idx(run: Path, given: bytes) -> None:
    "An IDX file, plain or packed."
    path, content = run / "idx", given[1:]
    path.write_bytes(gzip.compress(content, 1) if given[:1] > b"\x7f" else content)
    read_or_refuse(
        lambda: sources.read_idx(path), path, data.DataError, lambda a: a.nbytes <= sources.MAX_IDX_BYTES
    )


def json_value(given: atheris.FuzzedDataProvider, depth: int = 0):
    "Something that JSON can say."
    kind = given.ConsumeIntInRange(0, 9)
    if kind == 0 and depth < 4:
        return [json_value(given, depth + 1) for _ in range(given.ConsumeIntInRange(0, 3))]
    if kind == 1 and depth < 4:
        return {given.ConsumeUnicode(6): json_value(given, depth + 1)}
    values = (None, True, given.ConsumeInt(9), given.ConsumeFloat(), given.ConsumeUnicode(20))
    return values[kind % 5]


def edited_config(given: atheris.FuzzedDataProvider) -> bytes:
    "The configuration with an entry that is changed."
    config = json.loads(json.dumps(CONFIG))
    place = given.PickValueInList([config, config["recipe"], config["data"]])
    place[given.PickValueInList([*place, given.ConsumeUnicode(5)])] = json_value(given)
    return json.dumps(config).encode()


def config(run: Path, given: bytes) -> None:
    "A `config.json`: any bytes, or ours with one change."
    path = run / "config.json"
    path.write_bytes(
        given[1:] if given[:1] < b"\x80" else edited_config(atheris.FuzzedDataProvider(given[1:]))
    )
    read_or_refuse(
        lambda: runs.read_config(run), path, runs.RunError, lambda c: HyperParameters(**c["recipe"])
    )


def history(run: Path, given: bytes) -> None:
    "A `history.csv`: any bytes, or any rows."
    path = run / "history.csv"
    head = ",".join(runs.HISTORY.names).encode() + b"\n" if given[:1] > b"\x3f" else b""
    path.write_bytes(head + given[1:])
    read_or_refuse(
        lambda: runs.read_history(run),
        path,
        runs.RunError,
        lambda h: all(np.isfinite(h[key]).all() for key in runs.MEASURED),
    )


def npy(given: atheris.FuzzedDataProvider) -> bytes:
    "An array's file: any bytes, any header, or a header of our form."
    kind = given.ConsumeIntInRange(0, 3)
    if kind == 0:
        return given.ConsumeBytes(200)
    if kind == 1:
        header = given.ConsumeBytes(100)
    else:
        dtype = given.PickValueInList(
            ["'<f4'", "'>f4'", "'|O'", "'<i8'", "[('epoch', '<i4')]", "'<U9'", "'|V7'"]
        )
        shape = tuple(given.ConsumeIntInRange(-1, 20) for _ in range(given.ConsumeIntInRange(0, 4)))
        order = given.PickValueInList(["False", "True", "None"])
        header = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    version = given.PickValueInList([b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\4\0"])
    length = len(header).to_bytes(2 if version == b"\1\0" else 4, "little")
    return b"\x93NUMPY" + version + length + header + given.ConsumeBytes(800)


def npz(given: bytes) -> bytes:
    "An archive of arrays, sometimes with a few bytes changed: any bytes where `given` starts low."
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


def samples(run: Path, given: bytes) -> None:
    "The samples of an epoch: any bytes, or an array's file."
    path = run / "samples" / "epoch_00001.npy"
    path.write_bytes(given[1:] if given[:1] < b"\x40" else npy(atheris.FuzzedDataProvider(given[1:])))
    read_or_refuse(
        lambda: runs.read_samples(run),
        path,
        runs.RunError,
        lambda s: s.dtype == np.float32 and s[0].size == 16 * 9 and (np.abs(s) <= 1).all(),
    )


def checkpoint(run: Path, given: bytes) -> None:
    "The only checkpoint of a run."
    path = run / "checkpoints" / "epoch_00001.npz"
    path.write_bytes(npz(given))
    with warnings.catch_warnings(record=True):
        read_or_refuse(
            lambda: checkpoints.load_checkpoint(run, VARIABLES)[1],
            f"no checkpoint in {path.parent}",
            runs.RunError,
            lambda arrays: all(np.isfinite(a).all() and a.dtype == np.float32 for a in arrays.values()),
        )


# What a target starts from


def packed(run: Path, name: str, write, *arguments) -> bytes:
    "The file that `write` makes."
    write(run, *arguments)
    return (run / name).read_bytes()


def idx_seeds(run: Path) -> list[bytes]:
    content = b"\0\0\x08\3" + b"".join(n.to_bytes(4, "big") for n in (2, 3, 3)) + bytes(18)
    return [b"\0" + content, b"\xff" + content, b"\0" + gzip.compress(content), b"\0\0\0\x08\1\0\0\0\1\7"]


def config_seeds(run: Path) -> list[bytes]:
    return [b"\0" + json.dumps(CONFIG).encode(), b"\xff" + bytes(range(64)), b"\xff" + bytes(64)]


def history_seeds(run: Path) -> list[bytes]:
    signs = (0.9, 0.1, 0.5, 1e-3, np.nan)
    rows = np.array([(1, 1.3, 0.8, 1.25, 0.9, *signs), (2, 1e-7, 4, 0, 1, *signs)], runs.HISTORY)
    content = packed(run, "history.csv", runs.write_history, rows)
    return [b"\0" + content, b"\x7f" + content.partition(b"\n")[2]]


def samples_seeds(run: Path) -> list[bytes]:
    runs.save_samples(run, 1, np.zeros((16, 9), np.float32))
    return [b"\0" + (run / "samples" / "epoch_00001.npy").read_bytes(), b"\xff" + bytes(range(200))]


def checkpoint_seeds(run: Path) -> list[bytes]:
    checkpoints.save_checkpoint(run, 1, {name: v.numpy() for name, v in VARIABLES.items()})
    content = checkpoints.checkpoints(run)[1].read_bytes()
    return [b"\0" + content, b"\x7f" + bytes(range(200)), b"\xff" + bytes(200)]


TARGETS = {
    "idx": (idx, idx_seeds, 256),
    "config": (config, config_seeds, 1_024),
    "history": (history, history_seeds, 512),
    "samples": (samples, samples_seeds, 2_048),
    "checkpoint": (checkpoint, checkpoint_seeds, 4_096),
}


def make_run(folder: Path) -> Path:
    "A run folder with nothing but its configuration."
    for name in ("checkpoints", "samples"):
        (folder / name).mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def fuzz(name: str, count: int, folder: Path) -> None:
    "Give a target `count` inputs; does not return."
    target, seeds, longest = TARGETS[name]
    run, corpus = make_run(folder / "run"), folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(run)):
        (corpus / str(number)).write_bytes(seed)
    options = [f"-runs={count}", f"-max_len={longest}", "-timeout=20", "-rss_limit_mb=4096"]
    options += ["-print_final_stats=1", f"-artifact_prefix={folder}/", os.fspath(corpus)]
    atheris.Setup([sys.argv[0], *options], lambda given: target(run, given))
    atheris.Fuzz()


def figures(said: str, key: str) -> int:
    found = re.search(rf"stat::{key}: +(\d+)", said)
    return int(found[1]) if found else 0


def fuzz_in_process(name: str, count: int, folder: Path) -> bool:
    "Fuzz a target in a new process, print its line of the table, and say whether all was well."
    (folder / name).mkdir()
    command = [sys.executable, __file__, "--only", name, "--runs", str(count), "--folder", folder / name]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    crashes = [path for path in (folder / name).iterdir() if path.is_file()]
    numbers = [figures(done.stderr, key) for key in ("number_of_executed_units", "average_exec_per_sec")]
    well = not crashes and done.returncode == 0
    print(f"{name:12}{numbers[0]:>10,}{numbers[1]:>8,}/s  {'none' if well else len(crashes)}", flush=True)
    if well:
        shutil.rmtree(folder / name)
    else:
        print(done.stdout + done.stderr, file=sys.stderr)
    return well


def main() -> None:
    "Fuzz the targets that the command line names, or all."
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100_000, help="inputs for each target (default: 100000)")
    parser.add_argument("--only", choices=TARGETS, action="append", help="a target (default: all)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # says that this is a target's process
    options = parser.parse_args()
    if options.folder:
        return fuzz(options.only[0], options.runs, options.folder)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
    print(f"{'target':12}{'inputs':>10}{'speed':>10}  crashes")
    well = [fuzz_in_process(name, options.runs, folder) for name in options.only or TARGETS]
    if not all(well):
        sys.exit(f"the inputs that crash lie in {folder}")
    folder.rmdir()


if __name__ == "__main__":
    main()
