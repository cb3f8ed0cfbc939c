"""Picks what to fetch next: by priority within a host, all hosts alike, reading few rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from crawler.store import statements
from crawler.store.dealing import FINGERPRINT, HOST, STEP_S, Choice, Row, dealt, wait_of
from crawler.store.fencing import Claim
from crawler.store.sqlite.heritage import recall

_SQL = statements.statements("sqlite", "frontier")
PROMOTE_LIMIT = 2000


def choose(
    connection: sqlite3.Connection,
    claim: Claim,
    limit: int,
    per_host: int,
    skip: AbstractSet[bytes],
    after_host: str,
    now: float,
) -> Choice:
    """Up to ``limit`` requests, going round the hosts from behind ``after_host``.

    Costs a few microseconds per host visited and per row in ``skip``, at any number of rows.
    """
    part = {"run_id": claim.run_id, "part": claim.part}
    by_host: dict[str, Sequence[Row]] = {}
    last_host = after_host
    for row in _bests(connection, part, after_host, skip) if limit > 0 < per_host else ():
        last_host = row[HOST]
        by_host[last_host] = [row]
        if len(by_host) == limit:
            break
    # More of each host only where the hosts are too few, and at first only their even share.
    for count in (min(per_host, -(-limit // max(1, len(by_host)))), per_host):
        if sum(map(len, by_host.values())) < limit:
            for host in by_host:
                by_host[host] = _first_due(connection, part, host, count, skip)
    requests = recall(connection, claim, dealt(list(by_host.values()), limit))
    row = connection.execute(_SQL["select_next_at"], part).fetchone()
    return Choice(requests, last_host, wait_of(row, now))


def promote(connection: sqlite3.Connection, claim: Claim, now: float) -> None:
    """Make waiting rows due whose time has come, the earliest first, and those whose time was set
    by a clock that has stepped back since."""
    part = {"run_id": claim.run_id, "part": claim.part, "limit": PROMOTE_LIMIT}
    connection.execute(_SQL["promote_stepped"], {**part, "ahead": now + STEP_S})
    connection.execute(_SQL["promote_due"], {**part, "now": now})


def _bests(
    connection: sqlite3.Connection,
    part: dict[str, int],
    after_host: str,
    skip: AbstractSet[bytes],
) -> Iterator[Row]:
    """The best row of every host, once, beginning behind ``after_host`` and wrapping."""
    yield from _bests_between(connection, part, after_host, None, skip)
    if after_host:
        yield from _bests_between(connection, part, "", after_host, skip)


def _bests_between(
    connection: sqlite3.Connection,
    part: dict[str, int],
    host: str,
    last: str | None,
    skip: AbstractSet[bytes],
) -> Iterator[Row]:
    while True:
        rows = connection.execute(_SQL["select_best"], {**part, "host": host})
        row = next((row for row in rows if row[FINGERPRINT] not in skip), None)
        rows.close()
        if row is None or (last is not None and row[HOST] > last):
            return
        host = row[HOST]
        yield row


def _first_due(
    connection: sqlite3.Connection,
    part: dict[str, int],
    host: str,
    count: int,
    skip: AbstractSet[bytes],
) -> list[Row]:
    found: list[Row] = []
    rows = connection.execute(_SQL["select_due"], {**part, "host": host})
    for row in rows:
        if row[FINGERPRINT] not in skip:
            found.append(row)
            if len(found) == count:
                break
    rows.close()
    return found


def targets(
    connection: sqlite3.Connection, claim: Claim, fingerprints: Sequence[bytes]
) -> list[str]:
    """Where these pages led, of those that led elsewhere."""
    found = (
        connection.execute(
            _SQL["select_target"], {"run_id": claim.run_id, "fingerprint": each}
        ).fetchone()
        for each in fingerprints
    )
    return [row[0] for row in found if row is not None]
