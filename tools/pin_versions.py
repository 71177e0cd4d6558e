"""Write constraints.txt: a line for each package of the environment this runs in, but pip and learning_gan."""

import re
from importlib.metadata import distributions
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "constraints.txt"
NOT_PINNED = {"pip", "learning-gan"}


def installed() -> dict[str, str]:
    "Version of each installed package, by its name in the one spelling that pip compares."
    return {re.sub(r"[-_.]+", "-", d.name).lower(): d.version for d in distributions()}


def main() -> None:
    "Keep the comment at the head of the file and replace everything below it."
    head = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    pins = [f"{name}=={version}" for name, version in sorted(installed().items()) if name not in NOT_PINNED]
    FILE.write_text("\n".join([*head, *pins]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
