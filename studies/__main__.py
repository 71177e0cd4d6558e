"""`python -m studies trial …`: do a study, or go on with it."""

import importlib
import sys
from pathlib import Path

from learning_gan.trials.studies import StudyError

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main() -> None:
    "Do the study that the command line names."
    if sys.argv[1:2] == [] or sys.argv[1] not in NAMES:
        sys.exit(f"which study? make study NAME={'|'.join(NAMES)}")
    try:
        importlib.import_module(f"studies.{sys.argv[1]}").STUDY.main(sys.argv[2:])
    except StudyError as error:
        sys.exit(f"make study: {error}")


if __name__ == "__main__":
    main()
