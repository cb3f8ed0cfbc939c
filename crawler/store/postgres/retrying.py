"""Makes failed pages pending again, and lets their run go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from crawler.model import Failures, Retried, Stamp
from crawler.store import statements
from crawler.store.cleaning import clean_text
from crawler.store.paging import bounded
from crawler.store.postgres import ledger
from crawler.store.postgres.connection import Transaction
from crawler.store.runs import check_latest

_SQL = statements.statements("postgres", "retrying")


async def find_failed(
    tx: Transaction, resource_id: str, run: int, wanted: Failures, after: int, limit: int
) -> list[int]:
    """The seqs of failed pages, in order."""
    asked = {"resource_id": resource_id, "run": run, "after": after, "limit": bounded(limit)}
    return [
        row[0]
        for row in await tx.all(
            _SQL["select_failed"], {**asked, **asdict(wanted), "reason": clean_text(wanted.reason)}
        )
    ]


async def retry(tx: Transaction, stamp: Stamp, run: int, pages: Sequence[int]) -> Retried:
    """Those of these pages that are failed are pending again. Raises `Fenced`, `Conflict`."""
    if not await ledger.lock_resource(tx, stamp.resource_id):
        return Retried(0, open=False)
    await ledger.check_stamp(tx, stamp)
    found = await tx.one(_SQL["select_last_run"], (stamp.resource_id,))
    if found is None or not check_latest(run, found[1]):
        return Retried(0, open=False)
    run_id = found[0]
    parts = await tx.all(_SQL["retry_pages"], {"pages": list(pages), "run_id": run_id})
    reopened = bool(parts) and await tx.run(_SQL["reopen_run"], (run_id,)) > 0
    for part, count in parts:
        row = {"count": count, "run_id": run_id, "part": part}
        await tx.run(_SQL["uncount_failed"], row)
    total = sum(count for _, count in parts)
    return Retried(total, open=reopened or not found[2], reopened=reopened)
