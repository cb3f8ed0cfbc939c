"""Writes what became of pages: states, items, links, and the counters that go with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from crawler.model import Item, PageState, Progress, Request, Visit
from crawler.store import statements
from crawler.store.cleaning import (
    clean_count,
    clean_seconds,
    clean_size,
    clean_text,
    encode_fields,
    encode_names,
)
from crawler.store.fencing import Claim
from crawler.store.sqlite import ledger
from crawler.store.sqlite.links import Found, insert_pages, page_row, select_pending

_SQL = statements.statements("sqlite", "frontier")
LONGEST_WAIT_S = 24 * 3600.0
STRIKES_TO_FAIL = 3


@dataclass(slots=True)
class Delta:
    """What one transaction adds to the counters of its part."""

    known: int = 0
    done: int = 0
    failed: int = 0
    excluded: int = 0
    items: int = 0
    incomplete_items: int = 0
    fetched_bytes: int = 0

    def count(self, state: PageState) -> None:
        """Note that one known page left PENDING for ``state``."""
        if state is PageState.DONE:
            self.done += 1
        elif state is PageState.FAILED:
            self.failed += 1
        elif state is PageState.EXCLUDED:
            self.excluded += 1

    def complete(self, visit: Visit) -> None:
        """Note what a final visit adds."""
        self.count(visit.state)
        self.fetched_bytes += clean_size(visit.size_bytes)
        self.items += len(visit.items)
        self.incomplete_items += sum(1 for item in visit.items if item.missing)


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
    delta, found = Delta(), Found()
    pending = select_pending(connection, claim, visits)
    pages: list[tuple[Any, ...]] = []
    items: list[tuple[Any, ...]] = []
    for visit in visits:
        fingerprint = visit.request.fingerprint
        if (row := pending.get(fingerprint)) is None:
            continue
        seq, attempts = row
        made = _attempts(visit, attempts)
        pages.append(_page_change(visit, seq, made, now))
        found.gather(visit)
        if visit.state is PageState.PENDING:
            pending[fingerprint] = seq, made
            delta.fetched_bytes += clean_size(visit.size_bytes) if made > attempts else 0
        else:
            del pending[fingerprint]  # a second visit in this batch changes nothing
            delta.complete(visit)
            items.extend(_item_rows(claim, visit, now))
    connection.executemany(_SQL["complete_page"], pages)
    connection.executemany(_SQL["insert_item"], items)
    known, excluded = found.insert(connection, claim)
    delta.known += known
    delta.excluded += excluded
    _add(connection, claim, delta)
    return progress(connection, claim.run_id)


def strike(
    connection: sqlite3.Connection, claim: Claim, fingerprint: bytes, reason: str
) -> Progress:
    """One more strike; the third fails the page."""
    key = (claim.run_id, fingerprint, claim.part)
    pending = connection.execute(_SQL["select_strikes"], key).fetchone()
    if pending is not None:
        seq, strikes = pending
        state = PageState.FAILED if strikes + 1 >= STRIKES_TO_FAIL else PageState.PENDING
        row = {"seq": seq, "strikes": strikes + 1, "state": state, "reason": clean_text(reason)}
        connection.execute(_SQL["strike_page"], row)
        delta = Delta()
        delta.count(state)
        _add(connection, claim, delta)
    return progress(connection, claim.run_id)


def finish(
    connection: sqlite3.Connection, claim: Claim, reason: str, limit: bool, now: float
) -> Progress:
    """End the run where it may end; the first reason stays."""
    text = clean_text(reason) or "finished"
    row = {"run_id": claim.run_id, "reason": text, "limit": int(limit)}
    if connection.execute(_SQL["finish_run"], row).rowcount:
        note(connection, claim, "finished", text, now)
    return progress(connection, claim.run_id)


def note(connection: sqlite3.Connection, claim: Claim, kind: str, detail: str, now: float) -> None:
    """Add an event."""
    ledger.note(connection, claim.resource_id, kind, detail, claim.node, now)


def progress(connection: sqlite3.Connection, run_id: int) -> Progress:
    """The totals, in one statement."""
    row = connection.execute(_SQL["select_progress"], (run_id,)).fetchone()
    return as_progress(row)


def as_progress(row: Sequence[Any]) -> Progress:
    """Seven sums, then seeded and finished."""
    return replace(Progress(*row), seeded=bool(row[7]))


def _attempts(visit: Visit, attempts: int) -> int:
    """Counted from what the visitor saw, so that a repeated commit of one attempt counts once."""
    if visit.state is PageState.EXCLUDED:
        return attempts
    return max(attempts, clean_count(visit.request.attempts) + 1)


def _page_change(visit: Visit, seq: int, attempts: int, now: float) -> tuple[Any, ...]:
    again = visit.state is PageState.PENDING and visit.retry_at > now
    return (
        visit.state.value,
        clean_text(visit.reason),
        clean_count(visit.status),
        clean_text(visit.final_url),
        clean_text(visit.content_type),
        clean_size(visit.size_bytes),
        clean_seconds(visit.elapsed_s),
        clean_text(visit.rule),
        now,
        attempts,
        min(visit.retry_at, now + LONGEST_WAIT_S) if again else 0.0,
        seq,
    )


def _item_rows(claim: Claim, visit: Visit, now: float) -> Iterator[tuple[Any, ...]]:
    for ordinal, item in enumerate(visit.items):
        yield (
            claim.run_id,
            visit.request.fingerprint,
            ordinal,
            clean_text(item.rule),
            claim.definition_revision,
            *_item_texts(item),
            now,
        )


def _item_texts(item: Item) -> tuple[str, str | None]:
    return encode_fields(item.fields), encode_names(item.missing)


def _add(connection: sqlite3.Connection, claim: Claim, delta: Delta) -> None:
    row = {"run_id": claim.run_id, "part": claim.part, **asdict(delta)}
    connection.execute(_SQL["add_counters"], row)
