"""Execute the chapters in the order of their names and save their outputs; stop at the first that fails.

Cells that are plumbing are folded, so that a reader who opens a chapter in JupyterLab meets its words first.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

ROOT = Path(__file__).resolve().parent.parent


def is_plumbing(cell: dict) -> bool:
    "Whether a cell does nothing that a learner came for: hidden on the site, or only imports."
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return False
    if source.startswith(("#| hide", "#| default_exp")):
        return True
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a magic command
        return False
    imports = [s for s in statements if isinstance(s, ast.Import | ast.ImportFrom)]
    rest = {ast.unparse(s) for s in statements if s not in imports}
    return bool(imports) and rest <= {"use_style()"}


def fold(cells: list[dict]) -> None:
    "Fold the plumbing in JupyterLab."
    for cell in filter(is_plumbing, cells):
        cell["metadata"].setdefault("jupyter", {})["source_hidden"] = True


def execute(path: Path) -> float:
    "Run the notebook at `path` in its folder, write it back with its outputs, and return the seconds it took."
    start = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": os.fspath(path.parent)}}
    # The kernel is reached through files in that folder, not through open ports.
    with tempfile.TemporaryDirectory() as sockets:
        local = Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"})
        options = {"timeout": None, "kernel_name": "python3", "coalesce_streams": True}
        NotebookClient(notebook, resources=place, config=local, **options).execute()
    # The site says how long a chapter runs, and on how many processors.
    notebook.metadata["run_seconds"] = round(time.monotonic() - start, 1)
    notebook.metadata["run_cpus"] = os.cpu_count()
    fold(notebook.cells)
    beside = path.with_suffix(".ipynb.tmp")
    nbformat.write(notebook, beside)
    beside.replace(path)
    subprocess.run([Path(sys.executable).parent / "nbdev_clean", "--fname", path], cwd=ROOT, check=True)
    return time.monotonic() - start


def main() -> None:
    "Execute the notebooks named on the command line, or all."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, help="notebooks to execute (default: all of nbs)")
    paths = parser.parse_args().notebooks
    if not paths:
        paths = sorted((ROOT / "nbs").glob("*.ipynb"))
        shutil.rmtree(ROOT / "nbs" / "runs", ignore_errors=True)  # a finished run would not train again
    # Under tests chapters do less; the outputs that are saved come from the whole.
    os.environ.pop("IN_TEST", None)
    for path in paths:
        print(f"{path.name:32}", end="", flush=True)
        try:
            print(f"{execute(path.resolve()):7.1f} s", flush=True)
        except CellExecutionError as error:
            sys.exit(f"failed\n{error}")


if __name__ == "__main__":
    main()
