"""Makes failed pages pending again, and lets their run go on."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from crawler.model import Failures, Retried, Stamp
from crawler.store import statements
from crawler.store.cleaning import clean_text
from crawler.store.paging import bounded
from crawler.store.runs import check_latest
from crawler.store.sqlite import ledger

_SQL = statements.statements("sqlite", "retrying")


def find_failed(
    connection: sqlite3.Connection,
    resource_id: str,
    run: int,
    wanted: Failures,
    after: int,
    limit: int,
) -> list[int]:
    """The seqs of failed pages, in order."""
    asked = {"resource_id": resource_id, "run": run, "after": after, "limit": bounded(limit)}
    rows = connection.execute(
        _SQL["select_failed"], {**asked, **asdict(wanted), "reason": clean_text(wanted.reason)}
    )
    return [row[0] for row in rows]


def retry(connection: sqlite3.Connection, stamp: Stamp, run: int, pages: Sequence[int]) -> Retried:
    """Those of these pages that are failed are pending again. Raises `Fenced`, `Conflict`."""
    if ledger.is_buried(connection, stamp.resource_id):
        return Retried(0, open=False)
    ledger.check_stamp(connection, stamp)
    found = connection.execute(_SQL["select_last_run"], (stamp.resource_id,)).fetchone()
    if found is None or not check_latest(run, found[1]):
        return Retried(0, open=False)
    run_id = found[0]
    asked = {"pages": json.dumps(list(pages)), "run_id": run_id}
    parts = Counter(row[0] for row in connection.execute(_SQL["retry_pages"], asked).fetchall())
    reopened = bool(parts) and connection.execute(_SQL["reopen_run"], (run_id,)).rowcount > 0
    for part, count in parts.items():
        row = {"count": count, "run_id": run_id, "part": part}
        connection.execute(_SQL["uncount_failed"], row)
    return Retried(parts.total(), open=reopened or not found[2], reopened=reopened)
