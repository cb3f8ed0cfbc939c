"""Items that go on over several pages, and how they travel from one page to the next.

The unfinished item is part of the next page's request, and so of its row. It is written by the
visit that ends that request, whatever its end is: whole with the last page, otherwise marked as
unfinished. So it is written once, in the commit of the page that ends it.

A request of a chain has a fingerprint of its own, drawn from the chain's first page too. A row
that is known already would be left as it is, and the item with it lost; such a row can only be one
of the same chain, and the chain knows its pages. That a page of it may be known by its plain URL
from elsewhere thus does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from crawler.engine.baggage import CHAIN
from crawler.engine.urls import fingerprint
from crawler.model import Item, Request

MAX_PAGES: Final = 500  # of one item
MAX_CHARS: Final = 524_288  # of the JSON of an unfinished item
UNFINISHED: Final = "_next"  # among the missing fields: no field may be called so
# With its third strike a page is failed: by the store, unless an item travels with it.
LAST_STRIKES: Final = 3


@dataclass(frozen=True, slots=True)
class Part:
    """An item as far as it goes. ``fields`` are as they would be written now, those in ``absent``
    being stand-ins; ``missing`` names the required ones among these. ``last`` is the digest of
    what the page before added."""

    rule: str
    fields: Mapping[str, Any]
    absent: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    last: str = ""

    def finished(self) -> Item:
        """The item where nothing follows."""
        return Item(self.rule, self.fields, self.missing)

    def unfinished(self) -> Item:
        """The item where something follows that could not be had."""
        return Item(self.rule, self.fields, (*self.missing, UNFINISHED))


@dataclass(frozen=True, slots=True)
class Chain:
    """The pages of one item: what the first of them is known by, the marks of all so far, and the
    item."""

    root: str
    seen: tuple[str, ...]
    part: Part

    def mark(self, method: str, url: str, body: bytes | None) -> bytes:
        """The fingerprint of a request of this chain."""
        return fingerprint(method, url, (body or b"") + b"\n" + self.root.encode())

    def onto(self, mark: bytes) -> Chain | None:
        """The chain with one more page; None where it has been there, or has gone far enough."""
        name = mark.hex()[:16]
        if name in self.seen or len(self.seen) >= MAX_PAGES:
            return None
        return Chain(self.root, (*self.seen, name), self.part)

    def baggage(self) -> Mapping[str, Any]:
        """The chain as a request carries it."""
        part = self.part
        data = {
            "root": self.root,
            "seen": list(self.seen),
            "rule": part.rule,
            "fields": part.fields,
            "absent": list(part.absent),
            "missing": list(part.missing),
            "last": part.last,
        }
        return {CHAIN: data}


def chain_of(request: Request) -> Chain | None:
    """The chain that a request belongs to; None for most."""
    data = request.carry.get(CHAIN)
    if data is None:
        return None
    part = Part(
        data["rule"],
        data["fields"],
        tuple(data["absent"]),
        tuple(data["missing"]),
        data["last"],
    )
    return Chain(data["root"], tuple(data["seen"]), part)


def chain_with(request: Request, part: Part) -> Chain:
    """The chain that a page begins, or goes on with, by what it makes of the item."""
    known = chain_of(request)
    if known is not None:
        return Chain(known.root, known.seen, part)
    fresh = Chain(request.fingerprint.hex(), (), part)
    mark = fresh.mark(request.method, request.url, request.body)
    return fresh.onto(mark) or fresh


def unfinished(request: Request) -> tuple[Item, ...]:
    """The item that is written where a request comes to no page: none for most."""
    chain = chain_of(request)
    return () if chain is None else (chain.part.unfinished(),)
