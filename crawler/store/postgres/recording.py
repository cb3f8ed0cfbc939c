"""Writes what became of pages: states, items, links, and the counters that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from crawler.model import Event, PageState, Progress, Request, Visit
from crawler.store import statements
from crawler.store.batch import (
    ATTEMPTS_KEPT,
    Batch,
    Delta,
    Row,
    page_row,
    strike_row,
    struck,
    work_out,
)
from crawler.store.cleaning import clean_text
from crawler.store.fencing import Claim
from crawler.store.postgres import heritage, ledger, outbox
from crawler.store.postgres.connection import Transaction
from crawler.store.postgres.ledger import columns

_SQL = statements.statements("postgres", "frontier")


async def seed(tx: Transaction, claim: Claim, requests: Sequence[Request]) -> Progress:
    """Insert the start URLs and set seeded; nothing once seeded."""
    seeded = await tx.one(_SQL["lock_seeded"], (claim.run_id,))
    assert seeded is not None
    if not seeded[0]:
        rows = [page_row(claim, each, each.parent) for each in requests]
        await _add(tx, claim, Delta(known=len(await _insert_pages(tx, rows))))
        await tx.run(_SQL["set_seeded"], (claim.run_id,))
    return await progress(tx, claim.run_id)


async def record(tx: Transaction, claim: Claim, visits: Sequence[Visit]) -> Progress:
    """Record a batch of visits; those to pages that are not pending change nothing."""
    batch = work_out(claim, visits, await _select_pending(tx, claim, visits), tx.now)
    if batch.pages:
        await tx.run(_SQL["complete_pages"], columns(list(batch.pages.values())))
    await _tell_attempts(tx, claim, batch.attempts)
    batch.inherit(await heritage.children(tx, claim, batch.shares))
    await _insert_links(tx, claim, batch)
    if batch.items:
        await tx.run(_SQL["insert_items"], [claim.run_id, *columns(batch.items)])
        if claim.sinks:
            await outbox.wake(tx, claim)
    batch.delta.keep(await heritage.keep_items(tx, claim, batch.unchanged))
    await _add(tx, claim, batch.delta)
    return await progress(tx, claim.run_id)


async def sweep(tx: Transaction, claim: Claim) -> bool:
    """Take over the next pages that nobody has found; whether more are left to look at."""
    marks, more = await heritage.next_marks(tx, claim)
    left = await heritage.left(tx, claim, marks)
    new = await _insert_pages(tx, [page_row(claim, each, each.parent) for each in left])
    await _add(tx, claim, Delta(known=len(new)))
    return more


async def strike(tx: Transaction, claim: Claim, fingerprint: bytes, reason: str) -> Progress:
    """One more strike; see `struck`."""
    key = (claim.run_id, fingerprint, claim.part)
    pending = await tx.one(_SQL["select_strikes"], key)
    if pending is not None:
        seq, strikes, bound = pending
        state = struck(strikes + 1, bound=bool(bound))
        row = {"seq": seq, "strikes": strikes + 1, "state": state, "reason": clean_text(reason)}
        await tx.run(_SQL["strike_page"], row)
        missed = strike_row(claim, fingerprint, state, reason, tx.now)
        await _tell_attempts(tx, claim, [missed])
        delta = Delta()
        delta.count(state)
        await _add(tx, claim, delta)
    return await progress(tx, claim.run_id)


async def finish(tx: Transaction, claim: Claim, reason: str, limit: bool) -> Progress:
    """End the run where it may end; the first reason stays."""
    text = clean_text(reason) or "finished"
    row = {"run_id": claim.run_id, "reason": text, "at_limit": limit, "now": tx.now}
    if await tx.run(_SQL["finish_run"], row):
        await note(tx, claim, "finished", text)
    return await progress(tx, claim.run_id)


async def note(tx: Transaction, claim: Claim, kind: str, detail: str) -> None:
    """Add an event; its resource is locked already."""
    event = Event(0, tx.now, kind, detail, claim.node, claim.request_id)
    await ledger.insert_events(tx, [(claim.resource_id, event)])


async def progress(tx: Transaction, run_id: int) -> Progress:
    """The totals, in one statement."""
    row = await tx.one(_SQL["select_progress"], (run_id,))
    assert row is not None
    return as_progress(row)


def as_progress(row: Sequence[Any]) -> Progress:
    """Seven sums, then seeded, finished, and the sum of what was unchanged."""
    return replace(Progress(*row), seeded=bool(row[7]))


async def _select_pending(
    tx: Transaction, claim: Claim, visits: Sequence[Visit]
) -> dict[bytes, tuple[int, int]]:
    """The seq and the attempts of each visited page that is pending, by fingerprint."""
    wanted = [visit.request.fingerprint for visit in visits]
    rows = await tx.all(_SQL["select_pending"], (claim.run_id, claim.part, wanted))
    return {bytes(fingerprint): (seq, attempts) for fingerprint, seq, attempts in rows}


async def _insert_links(tx: Transaction, claim: Claim, batch: Batch) -> None:
    """Add what was found, and count it in the batch's delta."""
    found = batch.fingerprints()
    if not found:
        return
    known = {bytes(row[0]) for row in await tx.all(_SQL["select_known"], (claim.run_id, found))}
    rows = [*batch.new_links(claim, known), *batch.new_excluded(claim, known)]
    new = await _insert_pages(tx, rows)
    # Not new is also what another part has inserted since we looked, and it may have refused it.
    again = await _refused(tx, claim, [key for key in batch.links if key not in new])
    revived = 0
    if again:
        changes = [batch.revival(claim, key) for key in again]
        revived = await tx.run(_SQL["revive_pages"], columns(changes))
    batch.delta.known += len(new)
    batch.delta.excluded += sum(state == PageState.EXCLUDED for state in new.values()) - revived


async def _insert_pages(tx: Transaction, rows: list[Row]) -> dict[bytes, str]:
    """The states of those that were new. One statement, so that all go in in one order."""
    if not rows:
        return {}
    return {bytes(row[0]): row[1] for row in await tx.all(_SQL["insert_pages"], columns(rows))}


async def _refused(tx: Transaction, claim: Claim, fingerprints: Sequence[bytes]) -> list[bytes]:
    """Those that were excluded when they were found, locked: they may be followed yet."""
    if not fingerprints or await tx.one(_SQL["has_excluded"], (claim.run_id,)) is None:
        return []  # as in most runs
    rows = await tx.all(_SQL["select_refused"], (claim.run_id, list(fingerprints)))
    return [bytes(row[0]) for row in rows]


async def _tell_attempts(tx: Transaction, claim: Claim, rows: list[Row]) -> None:
    """Add attempts that failed; of each page the oldest go where there are many."""
    if not rows:
        return
    await tx.run(_SQL["insert_attempts"], columns(rows))
    marks = list({row[1] for row in rows})
    wanted = {"run_id": claim.run_id, "fingerprints": marks, "kept": ATTEMPTS_KEPT}
    await tx.run(_SQL["forget_attempts"], wanted)


async def _add(tx: Transaction, claim: Claim, delta: Delta) -> None:
    row = {"run_id": claim.run_id, "part": claim.part, **asdict(delta)}
    await tx.run(_SQL["add_counters"], row)
