"""Many rows by one statement: with each step SQLite lets go of Python's lock and then waits for it,
while the event loop works."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain

from crawler.store.batch import Row

_AT_ONCE = 20
_VALUES = "VALUES ("


def write_rows(connection: sqlite3.Connection, sql: str, rows: Sequence[Row]) -> int:
    """Run a statement that holds one ``VALUES (...)`` with all rows; how many an INSERT added."""
    rest = len(rows) % _AT_ONCE
    whole = len(rows) - rest
    changed = 0
    for at in range(0, whole, _AT_ONCE):
        values = tuple(chain.from_iterable(rows[at : at + _AT_ONCE]))
        changed += connection.execute(_for_many(sql), values).rowcount
    if rest:
        changed += connection.executemany(sql, rows[whole:]).rowcount
    return changed


@cache
def _for_many(sql: str) -> str:
    """The statement for `_AT_ONCE` rows."""
    before, _, after = sql.partition(_VALUES)
    row, _, after = after.partition(")")
    return f"{before}VALUES {', '.join([f'({row})'] * _AT_ONCE)}{after}"
