"""An answer that is kept, and which of several is the one for a request. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from crawler.cache.fields import Fields, members


@dataclass(frozen=True, slots=True)
class Stored:
    """A whole answer to a GET.

    ``asked``: the fields of the request that its Vary names. ``asked_at`` and ``came_at``: when it
    was asked for and when its head was there, in Unix seconds. ``body``: the SHA-256 of its body in
    hex, ``size`` bytes long.
    """

    url: str
    status: int
    fields: Fields
    asked: Fields
    asked_at: float
    came_at: float
    body: str
    size: int

    @property
    def variant(self) -> str:
        """By which it is told from other answers of the same URL; "" where there is only one."""
        names = varying(self.fields)
        if not names:
            return ""
        chosen = json.dumps(list(_chosen(names, self.asked)))
        return hashlib.sha256(chosen.encode()).hexdigest()[:32]


def varying(fields: Fields) -> tuple[str, ...]:
    """The names in Vary, in lower case, sorted; ``*`` among them: no other request has it."""
    return tuple(sorted({name.lower() for name in members(fields.all("vary"))}))


def asked_for(request: Fields, answer: Fields) -> Fields:
    """What of a request its answer depends on."""
    names = set(varying(answer))
    return Fields(tuple(pair for pair in request.pairs if pair[0].lower() in names))


def _chosen(names: Sequence[str], request: Fields) -> Sequence[tuple[str, str | None]]:
    """Values made alike (RFC 9111, 4.1): lines joined, blanks around commas taken away."""
    return [
        (name, ",".join(members(request.all(name))) if name in request else None) for name in names
    ]


def pick(stored: Sequence[Stored], request: Fields) -> Stored | None:
    """The latest of the answers that this request selects (RFC 9111, 4.1)."""
    fitting = [each for each in stored if _fits(each, request)]
    return max(fitting, key=lambda each: each.came_at, default=None)


def _fits(stored: Stored, request: Fields) -> bool:
    names = varying(stored.fields)
    return "*" not in names and _chosen(names, request) == _chosen(names, stored.asked)
