"""Takes the links of a batch of visits into the frontier; most of them are known already."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from crawler.model import PageState, Request, Visit
from crawler.store import statements
from crawler.store.cleaning import clean_count, clean_text, encode_carry
from crawler.store.fencing import Claim

_SQL = statements.statements("sqlite", "frontier")
_CHUNK = 120  # fingerprints asked for at once; the statement is prepared once


def asking(name: str) -> str:
    """The statement of that name for a chunk of fingerprints."""
    return _SQL[name].replace("/* fingerprints */", ", ".join("?" * _CHUNK))


_SELECT_PENDING = asking("select_pending")
_SELECT_KNOWN = asking("select_known")
_SELECT_REFUSED = asking("select_refused")


@dataclass(slots=True)
class Found:
    """Links of a batch, each fingerprint once, in the order found; the first one wins."""

    links: dict[bytes, tuple[Request, bytes]] = field(default_factory=dict)
    excluded: dict[bytes, tuple[Request, bytes, str]] = field(default_factory=dict)

    def gather(self, visit: Visit) -> None:
        """Take the links of one effective visit."""
        parent = visit.request.fingerprint
        links, excluded = self.links, self.excluded
        for link in visit.links:
            if link.fingerprint not in links:
                links[link.fingerprint] = link, parent
        for link, reason in visit.excluded:
            if link.fingerprint not in excluded:
                excluded[link.fingerprint] = link, parent, reason

    def insert(self, connection: sqlite3.Connection, claim: Claim) -> tuple[int, int]:
        """By how much the known and the excluded pages rise. A link that one page of the batch
        follows and another excludes is followed."""
        known = _known(connection, claim, [*self.links, *self.excluded])
        links = [
            page_row(claim, link, parent)
            for key, (link, parent) in self.links.items()
            if key not in known
        ]
        old = [key for key in self.links if key in known]
        again = [_revival(claim, *self.links[key]) for key in _refused(connection, claim, old)]
        excluded = [
            page_row(claim, link, parent, PageState.EXCLUDED, reason)
            for key, (link, parent, reason) in self.excluded.items()
            if key not in known
        ]
        followed = insert_pages(connection, links)
        refused = insert_pages(connection, excluded)
        return followed + refused, refused - _changes(connection, "revive_page", again)


def select_pending(
    connection: sqlite3.Connection, claim: Claim, visits: Sequence[Visit]
) -> dict[bytes, tuple[int, int]]:
    """The seq and the attempts of each visited page that is pending, by fingerprint."""
    wanted = [visit.request.fingerprint for visit in visits]
    rows = _ask(connection, _SELECT_PENDING, (claim.run_id, claim.part), wanted)
    return {fingerprint: (seq, attempts) for fingerprint, seq, attempts in rows}


def insert_pages(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    """How many were new: an ignored row changes nothing."""
    return _changes(connection, "insert_page", rows)


def page_row(
    claim: Claim,
    request: Request,
    parent: bytes | None,
    state: PageState = PageState.PENDING,
    reason: str = "",
) -> tuple[Any, ...]:
    """A row as ``insert_page`` takes it."""
    return (
        claim.run_id,
        claim.part,
        state.value,
        clean_text(reason),
        request.fingerprint,
        clean_text(request.url),
        clean_text(request.host),
        request.method,
        request.body,
        *_way(request, parent),
    )


def _revival(claim: Claim, request: Request, parent: bytes) -> tuple[Any, ...]:
    return (claim.part, *_way(request, parent), claim.run_id, request.fingerprint)


def _way(request: Request, parent: bytes | None) -> tuple[Any, ...]:
    """What depends on the way by which a page is found."""
    return (
        clean_count(request.depth),
        clean_count(request.priority),
        None if request.rule is None else clean_text(request.rule),
        encode_carry(request.carry),
        request.parent if request.parent is not None else parent,
    )


def _known(
    connection: sqlite3.Connection, claim: Claim, fingerprints: Sequence[bytes]
) -> set[bytes]:
    return {row[0] for row in _ask(connection, _SELECT_KNOWN, (claim.run_id,), fingerprints)}


def _refused(
    connection: sqlite3.Connection, claim: Claim, fingerprints: Sequence[bytes]
) -> set[bytes]:
    """Those that were excluded when they were found: they may be followed yet."""
    if not fingerprints or not connection.execute(_SQL["has_excluded"], (claim.run_id,)).fetchone():
        return set()  # as in most runs
    return {row[0] for row in _ask(connection, _SELECT_REFUSED, (claim.run_id,), fingerprints)}


def _ask(
    connection: sqlite3.Connection,
    sql: str,
    key: tuple[int, ...],
    fingerprints: Sequence[bytes],
) -> list[Any]:
    rows: list[Any] = []
    for start in range(0, len(fingerprints), _CHUNK):
        chunk = fingerprints[start : start + _CHUNK]
        padding = (None,) * (_CHUNK - len(chunk))
        rows += connection.execute(sql, (*key, *chunk, *padding))
    return rows


def _changes(connection: sqlite3.Connection, name: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """How many rows changed: executemany sums them up."""
    return connection.executemany(_SQL[name], rows).rowcount if rows else 0
