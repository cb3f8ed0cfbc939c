"""Resources page by page: filtered, and counted by state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crawler.coordination.entry import Entry, state_of
from crawler.errors import InvalidInput
from crawler.model import State
from crawler.rpc.pb.control_pb2 import NodeView

MAX_TEXT = 512  # characters of a filter or cursor


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which resources are asked for. ``limit`` 0: all; ``cursor``: go on behind this name;
    ``state``, ``prefix`` and ``contains`` (a part of the name, in whatever case) "": any."""

    limit: int = 0
    cursor: str = ""
    state: str = ""
    prefix: str = ""
    contains: str = ""

    def check(self) -> None:
        """Raise `InvalidInput` where that cannot be meant."""
        if self.limit < 0:
            raise InvalidInput(f"limit: 0 or more (got {self.limit})", field="limit")
        if self.state and self.state not in set(State):
            raise InvalidInput(
                f"state: one of {', '.join(State)} (got {self.state[:40]!r})", field="state"
            )
        for field in ("cursor", "prefix", "contains"):
            if len(getattr(self, field)) > MAX_TEXT:
                raise InvalidInput(f"{field}: at most {MAX_TEXT} characters", field=field)


@dataclass(frozen=True, slots=True)
class Page:
    """``next``: the cursor for more ("": there is none). ``totals``: how many resources whose names
    fit are in which state, whatever state is asked for."""

    entries: Sequence[Entry]
    next: str
    totals: Mapping[str, int]


class Listing:
    """Remembers the states of the resources that it was shown last, as ``look`` tells them."""

    def __init__(
        self, look: Callable[[Entry, Collection[str]], tuple[State, str]] = state_of
    ) -> None:
        self._look_at = look
        self._live: frozenset[str] = frozenset()
        self._states: dict[str, tuple[Entry, State]] = {}

    def page(self, entries: Mapping[str, Entry], live: frozenset[str], wanted: Wanted) -> Page:
        """What is wanted of ``entries``; ``live`` are the ids of the live workers. The same entry
        is the same object as long as nothing happens to it. Raises `InvalidInput`."""
        wanted.check()
        states = self._look(entries, live)
        text = wanted.contains.casefold()
        fitting = [
            name
            for name in states
            if name.startswith(wanted.prefix) and (not text or text in name.casefold())
        ]
        totals = Counter(states[name][1].value for name in fitting)
        shown = sorted(
            name
            for name in fitting
            if name > wanted.cursor and wanted.state in ("", states[name][1])
        )
        more = bool(wanted.limit) and len(shown) > wanted.limit
        shown = shown[: wanted.limit] if more else shown
        return Page([states[name][0] for name in shown], shown[-1] if more else "", totals)

    def _look(
        self, entries: Mapping[str, Entry], live: frozenset[str]
    ) -> Mapping[str, tuple[Entry, State]]:
        before = self._states if live == self._live else {}
        states: dict[str, tuple[Entry, State]] = {}
        for name, entry in entries.items():
            if entry.resource is not None:
                known = before.get(name)
                same = known is not None and known[0] is entry
                states[name] = known if same and known else (entry, self._look_at(entry, live)[0])
        self._live, self._states = live, states
        return states


def page_of(nodes: Sequence[NodeView], limit: int, cursor: str) -> Mapping[str, Any]:
    """The nodes behind the one that ``cursor`` names, ``limit`` at most (0: all), in their order,
    and ``next``. Nodes are few: one that has gone meanwhile leaves no gap."""
    if limit < 0:
        raise InvalidInput(f"limit: 0 or more (got {limit})", field="limit")
    behind = [each for each in nodes if (each.service, each.id) > _place(cursor)]
    shown = behind[:limit] if limit else behind
    return {"nodes": shown, "next": shown[-1].id if len(shown) < len(behind) else ""}


def _place(cursor: str) -> tuple[str, str]:
    return cursor.rpartition("-")[0], cursor
