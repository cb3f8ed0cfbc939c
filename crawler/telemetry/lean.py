"""How processes of ours come up sooner: how long that takes is part of what a short crawl costs."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import cast

_YOUNG = 50_000  # objects more than were let go, between two looks; Python's own way is 700


def look_rarely() -> None:
    """Look for garbage less often: imports make half a million objects, and hardly any garbage."""
    gc.set_threshold(_YOUNG, 10, 10)


def load_structlog() -> None:
    """Import structlog without rich, which it takes along wherever that is installed, for
    tracebacks that we write otherwise. Others have rich as ever. Does nothing where one of the two
    is there already."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    modules = cast("dict[str, object]", sys.modules)
    modules["rich"] = None  # what the import statement takes for a package that is not there
    try:
        import_module("structlog")
    finally:
        del modules["rich"]
