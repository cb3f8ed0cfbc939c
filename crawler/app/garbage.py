"""How often a process that crawls looks for garbage."""

from __future__ import annotations

import gc

_YOUNG = 10_000  # objects more than were let go, between two looks; Python's own way is 700


def settle() -> None:
    """Everything is imported. What there is by now stays, and is not looked through again; and
    pages leave hardly any cycles, so that to look less often finds as much."""
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
