"""Takes the links of a batch of visits into the frontier; most of them are known already."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from crawler.model import Visit
from crawler.store import statements
from crawler.store.batch import Batch, Row
from crawler.store.fencing import Claim
from crawler.store.sqlite.rows import write_rows

_SQL = {
    **statements.statements("sqlite", "frontier"),
    **statements.statements("sqlite", "heritage"),
}
_CHUNK = 120  # fingerprints asked for at once; the statement is prepared once


def asking(name: str) -> str:
    """The statement of that name for a chunk of fingerprints."""
    return _SQL[name].replace("/* fingerprints */", ", ".join("?" * _CHUNK))


_SELECT_PENDING = asking("select_pending")
_SELECT_KNOWN = asking("select_known")
_SELECT_REFUSED = asking("select_refused")


def insert_links(connection: sqlite3.Connection, claim: Claim, batch: Batch) -> None:
    """Add what was found, and count it in the batch's delta."""
    known = select_known(connection, claim, batch.fingerprints())
    old = [key for key in batch.links if key in known]
    again = [batch.revival(claim, key) for key in _refused(connection, claim, old)]
    followed = insert_pages(connection, batch.new_links(claim, known))
    refused = insert_pages(connection, batch.new_excluded(claim, known))
    batch.delta.known += followed + refused
    if again:
        refused -= connection.executemany(_SQL["revive_page"], again).rowcount
    batch.delta.excluded += refused


def select_pending(
    connection: sqlite3.Connection, claim: Claim, visits: Sequence[Visit]
) -> dict[bytes, tuple[int, int]]:
    """The seq and the attempts of each visited page that is pending, by fingerprint."""
    wanted = [visit.request.fingerprint for visit in visits]
    rows = ask(connection, _SELECT_PENDING, (claim.run_id, claim.part), wanted)
    return {fingerprint: (seq, attempts) for fingerprint, seq, attempts in rows}


def insert_pages(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """How many were new: an ignored row changes nothing."""
    return write_rows(connection, _SQL["insert_page"], rows)


def select_known(
    connection: sqlite3.Connection, claim: Claim, fingerprints: Sequence[bytes]
) -> set[bytes]:
    """Those of which there are rows."""
    return {row[0] for row in ask(connection, _SELECT_KNOWN, (claim.run_id,), fingerprints)}


def _refused(
    connection: sqlite3.Connection, claim: Claim, fingerprints: Sequence[bytes]
) -> set[bytes]:
    """Those that were excluded when they were found: they may be followed yet."""
    if not fingerprints or not connection.execute(_SQL["has_excluded"], (claim.run_id,)).fetchone():
        return set()  # as in most runs
    return {row[0] for row in ask(connection, _SELECT_REFUSED, (claim.run_id,), fingerprints)}


def ask(
    connection: sqlite3.Connection,
    sql: str,
    key: tuple[int, ...],
    fingerprints: Sequence[bytes],
) -> list[Any]:
    """The rows of a statement that is asked a chunk of fingerprints at a time."""
    rows: list[Any] = []
    for start in range(0, len(fingerprints), _CHUNK):
        chunk = fingerprints[start : start + _CHUNK]
        padding = (None,) * (_CHUNK - len(chunk))
        rows += connection.execute(sql, (*key, *chunk, *padding))
    return rows
