"""Picks what to fetch next: by priority within a host, all hosts alike, reading few rows."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from crawler.store import statements
from crawler.store.dealing import HOST, STEP_S, Choice, Row, dealt, wait_of
from crawler.store.fencing import Claim
from crawler.store.postgres.connection import Transaction
from crawler.store.postgres.heritage import recall

_SQL = statements.statements("postgres", "frontier")
PROMOTE_LIMIT = 2000


async def choose(
    tx: Transaction,
    claim: Claim,
    limit: int,
    per_host: int,
    skip: AbstractSet[bytes],
    after_host: str,
) -> Choice:
    """Up to ``limit`` requests, going round the hosts from behind ``after_host``."""
    part = {"run_id": claim.run_id, "part": claim.part, "skip": list(skip)}
    by_host: dict[str, Sequence[Row]] = {}
    last_host = after_host
    if limit > 0 < per_host:
        for row in await _bests(tx, part, after_host, limit):
            last_host = row[HOST]
            by_host[last_host] = [row]
    # More of each host only where the hosts are too few, and at first only their even share.
    for count in (min(per_host, -(-limit // max(1, len(by_host)))), per_host):
        if by_host and count > 1 and sum(map(len, by_host.values())) < limit:
            by_host = await _first_due(tx, part, list(by_host), count)
    requests = await recall(tx, claim, dealt(list(by_host.values()), limit))
    waiting = await tx.one(_SQL["select_next_at"], part)
    return Choice(requests, last_host, wait_of(waiting, tx.now))


async def promote(tx: Transaction, claim: Claim) -> None:
    """Make waiting rows due whose time has come, the earliest first, and those whose time was set
    by a clock that has stepped back since."""
    part = {"run_id": claim.run_id, "part": claim.part, "limit": PROMOTE_LIMIT}
    tx = await tx.later()  # by an older time, a wait begun meanwhile would look like one ahead
    await tx.run(_SQL["promote_stepped"], {**part, "ahead": tx.now + STEP_S})
    await tx.run(_SQL["promote_due"], {**part, "now": tx.now})


async def targets(tx: Transaction, claim: Claim, fingerprints: Sequence[bytes]) -> list[str]:
    """Where these pages led, of those that led elsewhere, in their order."""
    wanted = list(fingerprints)
    rows = await tx.all(_SQL["select_targets"], (claim.run_id, wanted, wanted))
    return [row[0] for row in rows]


async def _bests(tx: Transaction, part: dict[str, Any], after_host: str, limit: int) -> list[Row]:
    """The best row of each of so many hosts, beginning behind ``after_host`` and wrapping."""
    rows = await tx.all(_SQL["select_bests"], {**part, "host": after_host, "limit": limit})
    if after_host and len(rows) < limit:
        first = await tx.all(_SQL["select_bests"], {**part, "host": "", "limit": limit - len(rows)})
        rows += [row for row in first if row[HOST] <= after_host]
    return rows


async def _first_due(
    tx: Transaction, part: dict[str, Any], hosts: list[str], count: int
) -> dict[str, Sequence[Row]]:
    rows = await tx.all(_SQL["select_due"], {**part, "hosts": hosts, "count": count})
    return {host: [row for row in rows if row[HOST] == host] for host in hosts}
