"""Writes what became of pages: states, items, links, and the counters that go with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from crawler.model import Event, Progress, Request, Visit
from crawler.store import statements
from crawler.store.batch import (
    ATTEMPTS_KEPT,
    Delta,
    Row,
    page_row,
    strike_row,
    struck,
    work_out,
)
from crawler.store.cleaning import clean_text
from crawler.store.fencing import Claim
from crawler.store.sqlite import heritage, ledger, outbox
from crawler.store.sqlite.links import insert_links, insert_pages, select_pending
from crawler.store.sqlite.rows import write_rows

_SQL = statements.statements("sqlite", "frontier")


def seed(connection: sqlite3.Connection, claim: Claim, requests: Sequence[Request]) -> Progress:
    """Insert the start URLs and set seeded; nothing once seeded."""
    if not connection.execute(_SQL["select_seeded"], (claim.run_id,)).fetchone()[0]:
        rows = [page_row(claim, each, each.parent) for each in requests]
        _add(connection, claim, Delta(known=insert_pages(connection, rows)))
        connection.execute(_SQL["set_seeded"], (claim.run_id,))
    return progress(connection, claim.run_id)


def record(
    connection: sqlite3.Connection, claim: Claim, visits: Sequence[Visit], now: float
) -> Progress:
    """Record a batch of visits; those to pages that are not pending change nothing."""
    batch = work_out(claim, visits, select_pending(connection, claim, visits), now)
    heritage.take_over(connection, claim, batch, now)
    write_rows(connection, _SQL["complete_page"], list(batch.pages.values()))
    if batch.attempts:
        _tell_attempts(connection, batch.attempts)
    if batch.items:
        write_rows(connection, _SQL["insert_item"], batch.items)
        if claim.sinks:
            outbox.wake(connection, claim)
    insert_links(connection, claim, batch)
    _add(connection, claim, batch.delta)
    return progress(connection, claim.run_id)


def sweep(connection: sqlite3.Connection, claim: Claim) -> bool:
    """Take over the next pages that nobody has found; whether more are left to look at."""
    rows, more = heritage.next_left(connection, claim)
    _add(connection, claim, Delta(known=insert_pages(connection, rows)))
    return more


def strike(
    connection: sqlite3.Connection, claim: Claim, fingerprint: bytes, reason: str, now: float
) -> Progress:
    """One more strike; see `struck`."""
    key = (claim.run_id, fingerprint, claim.part)
    pending = connection.execute(_SQL["select_strikes"], key).fetchone()
    if pending is not None:
        seq, strikes, bound = pending
        state = struck(strikes + 1, bound=bool(bound))
        row = {"seq": seq, "strikes": strikes + 1, "state": state, "reason": clean_text(reason)}
        connection.execute(_SQL["strike_page"], row)
        _tell_attempts(connection, [strike_row(claim, fingerprint, state, reason, now)])
        delta = Delta()
        delta.count(state)
        _add(connection, claim, delta)
    return progress(connection, claim.run_id)


def finish(
    connection: sqlite3.Connection, claim: Claim, reason: str, limit: bool, now: float
) -> Progress:
    """End the run where it may end; the first reason stays."""
    text = clean_text(reason) or "finished"
    row = {"run_id": claim.run_id, "reason": text, "limit": int(limit), "now": now}
    if connection.execute(_SQL["finish_run"], row).rowcount:
        note(connection, claim, "finished", text, now)
    return progress(connection, claim.run_id)


def note(connection: sqlite3.Connection, claim: Claim, kind: str, detail: str, now: float) -> None:
    """Add an event."""
    event = Event(0, now, kind, detail, claim.node, claim.request_id)
    ledger.note(connection, claim.resource_id, event)


def progress(connection: sqlite3.Connection, run_id: int) -> Progress:
    """The totals, in one statement."""
    row = connection.execute(_SQL["select_progress"], (run_id,)).fetchone()
    return as_progress(row)


def as_progress(row: Sequence[Any]) -> Progress:
    """Seven sums, then seeded, finished, and the sum of what was unchanged."""
    return replace(Progress(*row), seeded=bool(row[7]))


def _tell_attempts(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add attempts that failed; of each page the oldest go where there are many."""
    connection.executemany(_SQL["insert_attempt"], rows)
    connection.executemany(_SQL["forget_attempts"], [(*row[:2], ATTEMPTS_KEPT) for row in rows])


def _add(connection: sqlite3.Connection, claim: Claim, delta: Delta) -> None:
    row = {"run_id": claim.run_id, "part": claim.part, **asdict(delta)}
    connection.execute(_SQL["add_counters"], row)
