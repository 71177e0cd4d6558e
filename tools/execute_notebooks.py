"""Execute the chapters in reading order, the home page last, and save their outputs; stop at the first that fails.

Cells that are plumbing are folded, so that a reader who opens a chapter in JupyterLab meets its words first.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from chapters import NOTEBOOKS, ROOT, is_plumbing, reading_order
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config


def save(notebook: nbformat.NotebookNode, path: Path) -> None:
    "Fold the plumbing, write the notebook, and clean it."
    for cell in filter(is_plumbing, notebook.cells):
        cell["metadata"].setdefault("jupyter", {})["source_hidden"] = True
    beside = path.with_suffix(".ipynb.tmp")
    nbformat.write(notebook, beside)
    beside.replace(path)
    subprocess.run([Path(sys.executable).parent / "nbdev_clean", "--fname", path], cwd=ROOT, check=True)


def execute(path: Path) -> None:
    "Run a notebook in its folder, and say in it how long that took and on how many processors, for the site."
    start, notebook = time.monotonic(), nbformat.read(path, as_version=4)
    place = {"metadata": {"path": os.fspath(path.parent)}}
    # The kernel is reached through files in that folder, not through open ports.
    with tempfile.TemporaryDirectory() as sockets:
        local = Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"})
        options = {"timeout": None, "kernel_name": "python3", "coalesce_streams": True}
        NotebookClient(notebook, resources=place, config=local, **options).execute()
    notebook.metadata |= {"run_seconds": round(time.monotonic() - start, 1), "run_cpus": os.cpu_count()}
    save(notebook, path)
    print(f"{time.monotonic() - start:7.1f} s", flush=True)


def main() -> None:
    "Execute the notebooks named on the command line, or all."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, help="notebooks to execute (default: all of nbs)")
    parser.add_argument("--fold", action="store_true", help="only fold the plumbing; execute nothing")
    args = parser.parse_args()
    home, *rest = [NOTEBOOKS / name for name in reading_order()]
    paths = [path.resolve() for path in args.notebooks] or [*rest, home]
    if args.fold:
        return [save(nbformat.read(path, as_version=4), path) for path in paths] and None
    if not args.notebooks:
        for runs in NOTEBOOKS.glob("**/runs"):  # a finished run would not train again
            shutil.rmtree(runs)
    # Under tests chapters do less; the outputs that are saved come from the whole.
    os.environ.pop("IN_TEST", None)
    for path in paths:
        print(f"{path.name:32}", end="", flush=True)
        try:
            execute(path)
        except CellExecutionError as error:
            sys.exit(f"failed\n{error}")


if __name__ == "__main__":
    main()
