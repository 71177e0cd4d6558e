"""Fail when a notebook is not clean or the package is not the notebooks' export; change nothing."""

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WATCHED = ("nbs/**/*.ipynb", "learning_gan/**/*.py")


def fresh_export(root: Path, target: Path) -> None:
    "Copy what nbdev reads from `root` to `target`, then clean and export there."
    unread = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.npz", "*.keras")
    for folder in ("nbs", "learning_gan"):
        shutil.copytree(root / folder, target / folder, ignore=unread)
    shutil.copy(root / "settings.ini", target)
    for module in (target / "learning_gan").rglob("*.py"):
        if module.name != "__init__.py":
            module.unlink()  # so that a module no notebook exports any more is noticed
    for command in ("nbdev_clean", "nbdev_export"):
        subprocess.run([Path(sys.executable).parent / command], cwd=target, check=True)


def stale_files(root: Path, target: Path) -> list[str]:
    "The watched files that differ between the two trees, or exist in only one of them."
    names = {
        os.fspath(p.relative_to(tree)) for tree in (root, target) for glob in WATCHED for p in tree.glob(glob)
    }
    _, differ, missing = filecmp.cmpfiles(root, target, sorted(names), shallow=False)
    return sorted(differ + missing)


def main() -> None:
    "Compare the checkout with a fresh clean and export of a copy of it."
    with tempfile.TemporaryDirectory() as folder:
        fresh_export(ROOT, Path(folder))
        stale = stale_files(ROOT, Path(folder))
    if stale:
        sys.exit("\n  ".join(["Not what nbdev_clean and nbdev_export make of it (run make export):", *stale]))
    print("The notebooks are clean, and the package is their export.")


if __name__ == "__main__":
    main()
