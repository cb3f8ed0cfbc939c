"""What items go through before they are kept: one step after the other changes or drops them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from crawler.errors import InvalidInput
from crawler.spider.page import Page

Step = Callable[[Any, Page], Any]


class DropItem(Exception):
    """Raised by a step of a pipeline, for an item that is not to be kept; with the reason."""


class Pipeline:
    """The steps of a spider: functions of item and page, objects with such a ``process_item``, or
    classes of these. Raises `InvalidInput` for what is none."""

    def __init__(self, steps: Sequence[Any]) -> None:
        self._steps = [_step(at, each) for at, each in enumerate(steps)]

    def run(self, item: Any, page: Page, dropped: Counter[str]) -> Any:
        """The item as the last step leaves it; None where one has dropped it, which is counted by
        step and reason. Raises what a step raises."""
        for name, step in self._steps:
            try:
                item = step(item, page)
                reason = ""
            except DropItem as drop:
                item, reason = None, str(drop)
            if item is None:
                dropped[f"{name}: {reason}" if reason else name] += 1
                return None
        return item


def told(dropped: Counter[str]) -> list[str]:
    """``2 items dropped by check_price: no price`` for each step and reason."""
    return [
        f"{count} item{'s' * (count > 1)} dropped by {where}" for where, count in dropped.items()
    ]


def _step(at: int, entry: Any) -> tuple[str, Step]:
    step = entry() if isinstance(entry, type) else entry
    name = getattr(step, "__name__", type(step).__name__)
    process = getattr(step, "process_item", step)
    if not callable(process):
        raise InvalidInput(
            f"pipelines[{at}]: must be a function of item and page, or have process_item "
            f"(got {entry!r:.100})",
            field=f"pipelines[{at}]",
        )
    return name, process
