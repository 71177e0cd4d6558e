__version__ = "0.2.0"

from .catalogue import WHERE
from .catalogue import find as __getattr__  # noqa: F401 (names are imported when they are asked for)

__all__ = list(WHERE)


def __dir__():
    return sorted({*globals(), *WHERE})
