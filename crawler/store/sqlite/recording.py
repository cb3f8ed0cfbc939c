"""Writes what became of pages: states, new links, items and the counters that go with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from crawler.model import Item, PageState, Progress, Request, Visit
from crawler.store import statements
from crawler.store.cleaning import (
    clean_count,
    clean_seconds,
    clean_size,
    clean_text,
    encode_carry,
    encode_fields,
    encode_names,
)
from crawler.store.fencing import Claim

_SQL = statements.statements("sqlite", "frontier")
_CHUNK = 120  # fingerprints asked for at once; the statement is prepared once
_SELECT_KNOWN = _SQL["select_known"].replace("/* fingerprints */", ", ".join("?" * _CHUNK))
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


@dataclass(slots=True)
class Found:
    """Links of a batch, each fingerprint once, in the order found; the first one wins."""

    links: dict[bytes, tuple[Request, bytes]] = field(default_factory=dict)
    excluded: dict[bytes, tuple[Request, bytes, str]] = field(default_factory=dict)

    def gather(self, visit: Visit) -> None:
        """Take the links of one effective visit."""
        parent = visit.request.fingerprint
        for link in visit.links:
            if link.fingerprint not in self.links:
                self.links[link.fingerprint] = link, parent
        for link, reason in visit.excluded:
            if link.fingerprint not in self.excluded:
                self.excluded[link.fingerprint] = link, parent, reason

    def insert(self, connection: sqlite3.Connection, claim: Claim) -> tuple[int, int]:
        """How many links, and how many excluded ones, were new. A link that one page of the
        batch follows and another excludes is followed."""
        known = _known(connection, claim, [*self.links, *self.excluded])
        links = [
            _page_row(claim, link, parent)
            for key, (link, parent) in self.links.items()
            if key not in known
        ]
        excluded = [
            _page_row(claim, link, parent, PageState.EXCLUDED, reason)
            for key, (link, parent, reason) in self.excluded.items()
            if key not in known
        ]
        return _insert_pages(connection, links), _insert_pages(connection, excluded)


def seed(connection: sqlite3.Connection, claim: Claim, requests: Sequence[Request]) -> Progress:
    """Insert the start URLs and set seeded; nothing once seeded."""
    if not connection.execute(_SQL["select_seeded"], (claim.run_id,)).fetchone()[0]:
        rows = [_page_row(claim, each, each.parent) for each in requests]
        _add(connection, claim, Delta(known=_insert_pages(connection, rows)))
        connection.execute(_SQL["set_seeded"], (claim.run_id,))
    return progress(connection, claim.run_id)


def record(
    connection: sqlite3.Connection, claim: Claim, visits: Sequence[Visit], now: float
) -> Progress:
    """Record a batch of visits; those to pages that are not pending change nothing."""
    delta, found = Delta(), Found()
    items: list[tuple[Any, ...]] = []
    for visit in visits:
        key = (claim.run_id, visit.request.fingerprint, claim.part)
        pending = connection.execute(_SQL["select_pending"], key).fetchone()
        if pending is None:
            continue
        seq, attempts, _ = pending
        _update_page(connection, visit, seq, attempts, delta, now)
        found.gather(visit)
        if visit.state is not PageState.PENDING:
            delta.count(visit.state)
            items.extend(_item_rows(claim, visit, now))
            delta.items += len(visit.items)
            delta.incomplete_items += sum(1 for item in visit.items if item.missing)
    connection.executemany(_SQL["insert_item"], items)
    links, excluded = found.insert(connection, claim)
    delta.known += links + excluded
    delta.excluded += excluded
    _add(connection, claim, delta)
    return progress(connection, claim.run_id)


def strike(
    connection: sqlite3.Connection, claim: Claim, fingerprint: bytes, reason: str
) -> Progress:
    """One more strike; the third fails the page."""
    key = (claim.run_id, fingerprint, claim.part)
    pending = connection.execute(_SQL["select_pending"], key).fetchone()
    if pending is not None:
        seq, _, strikes = pending
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
    row = (claim.resource_id, now, clean_text(kind), clean_text(detail), claim.node)
    connection.execute(_SQL["insert_event"], row)


def progress(connection: sqlite3.Connection, run_id: int) -> Progress:
    """The totals, in one statement."""
    row = connection.execute(_SQL["select_progress"], (run_id,)).fetchone()
    return as_progress(row)


def as_progress(row: Sequence[Any]) -> Progress:
    """Seven sums, then seeded and finished."""
    return replace(Progress(*row), seeded=bool(row[7]))


def _update_page(
    connection: sqlite3.Connection, visit: Visit, seq: int, attempts: int, delta: Delta, now: float
) -> None:
    # Counted from what the visitor saw, so that a repeated commit of one attempt counts once.
    made = attempts
    if visit.state is not PageState.EXCLUDED:
        made = max(attempts, clean_count(visit.request.attempts) + 1)
    if visit.state is not PageState.PENDING or made > attempts:
        delta.fetched_bytes += clean_size(visit.size_bytes)
    again = visit.state is PageState.PENDING and visit.retry_at > now
    row = {
        "seq": seq,
        "state": visit.state,
        "reason": clean_text(visit.reason),
        "status": clean_count(visit.status),
        "final_url": clean_text(visit.final_url),
        "content_type": clean_text(visit.content_type),
        "size_bytes": clean_size(visit.size_bytes),
        "elapsed_s": clean_seconds(visit.elapsed_s),
        "rule": clean_text(visit.rule),
        "now": now,
        "attempts": made,
        "not_before": min(visit.retry_at, now + LONGEST_WAIT_S) if again else 0.0,
    }
    connection.execute(_SQL["complete_page"], row)


def _page_row(
    claim: Claim,
    request: Request,
    parent: bytes | None,
    state: PageState = PageState.PENDING,
    reason: str = "",
) -> tuple[Any, ...]:
    return (
        claim.run_id,
        claim.part,
        state.value,
        clean_text(reason),
        request.fingerprint,
        clean_text(request.url),
        clean_text(request.host),
        clean_count(request.depth),
        clean_count(request.priority),
        request.method,
        request.body,
        None if request.rule is None else clean_text(request.rule),
        encode_carry(request.carry),
        request.parent if request.parent is not None else parent,
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


def _known(
    connection: sqlite3.Connection, claim: Claim, fingerprints: Sequence[bytes]
) -> set[bytes]:
    known: set[bytes] = set()
    for start in range(0, len(fingerprints), _CHUNK):
        chunk = fingerprints[start : start + _CHUNK]
        padding = [None] * (_CHUNK - len(chunk))
        rows = connection.execute(_SELECT_KNOWN, (claim.run_id, *chunk, *padding))
        known.update(row[0] for row in rows)
    return known


def _insert_pages(connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> int:
    """How many were new: executemany sums the changes, and an ignored row changes nothing."""
    return max(0, connection.executemany(_SQL["insert_page"], rows).rowcount)


def _add(connection: sqlite3.Connection, claim: Claim, delta: Delta) -> None:
    row = {"run_id": claim.run_id, "part": claim.part, **asdict(delta)}
    connection.execute(_SQL["add_counters"], row)
