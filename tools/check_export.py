"""Fail when a notebook is not clean or the package is not the notebooks' export; change nothing."""

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from chapters import ROOT

WATCHED = ("nbs/**/*.ipynb", "learning_gan/**/*.py")


def stale_files(copy: Path) -> list[str]:
    "The watched files that differ between the checkout and a fresh export of a copy, or exist in only one of them."
    unread = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.npz", "*.keras")
    for folder in ("nbs", "learning_gan"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=unread)
    shutil.copy(ROOT / "settings.ini", copy)
    for module in {*(copy / "learning_gan").rglob("*.py")} - {copy / "learning_gan" / "__init__.py"}:
        module.unlink()  # so that a module no notebook exports any more is noticed
    for command in ("nbdev_clean", "nbdev_export"):
        subprocess.run([Path(sys.executable).parent / command], cwd=copy, check=True)
    paths = [(path, tree) for tree in (ROOT, copy) for glob in WATCHED for path in tree.glob(glob)]
    names = {os.fspath(path.relative_to(tree)) for path, tree in paths}
    _, differ, missing = filecmp.cmpfiles(ROOT, copy, sorted(names), shallow=False)
    return sorted(differ + missing)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        stale = stale_files(Path(folder))
    if stale:
        sys.exit("\n  ".join(["Not what nbdev_clean and nbdev_export make of it (run make export):", *stale]))
    print("The notebooks are clean, and the package is their export.")
