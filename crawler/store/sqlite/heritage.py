"""Takes over what a run's base has of unchanged pages, and sweeps up the rest."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from crawler.model import Request
from crawler.store import statements
from crawler.store.batch import Batch, Row, page_row
from crawler.store.fencing import Claim
from crawler.store.heritage import SWEPT_AT_ONCE, recalled, taken
from crawler.store.sqlite.links import ask, asking, select_known

_SQL = statements.statements("sqlite", "heritage")
_SELECT_BEFORE = asking("select_before")
_SELECT_LEFT = asking("select_left")


def recall(
    connection: sqlite3.Connection, claim: Claim, requests: Sequence[Request]
) -> tuple[Request, ...]:
    """The requests with what the base says of them."""
    if claim.base is None:
        return tuple(requests)
    marks = [each.fingerprint for each in requests]
    rows = ask(connection, _SELECT_BEFORE, (claim.base,), marks)
    return recalled(requests, rows, claim.begun_at)


def take_over(connection: sqlite3.Connection, claim: Claim, batch: Batch, now: float) -> None:
    """Copy the items of the batch's unchanged pages, and take what was first found on them."""
    assert claim.base is not None or not batch.shares, "only what the base knows can be unchanged"
    for fingerprint in batch.unchanged:
        row = {
            "run_id": claim.run_id,
            "base": claim.base,
            "fingerprint": fingerprint,
            "now": now,
        }
        kept = connection.execute(_SQL["keep_items"], row).fetchall()
        batch.delta.keep([missing is not None for (missing,) in kept])
    for fingerprint, first, most in batch.shares:
        row = {
            "base": claim.base,
            "parent": fingerprint,
            "first": first,
            "most": -1 if most is None else most,
        }
        batch.inherit(connection.execute(_SQL["select_children"], row))


def next_left(connection: sqlite3.Connection, claim: Claim) -> tuple[list[Row], bool]:
    """Rows for what this run does not know among the next pages of the base, whose place is kept;
    and whether there are more of them."""
    key = (claim.run_id, claim.part)
    (swept,) = connection.execute(_SQL["select_swept"], key).fetchone()
    if swept is None:
        return [], False
    row = {"base": claim.base, "swept": swept, "limit": SWEPT_AT_ONCE}
    marks = [each[0] for each in connection.execute(_SQL["select_next_base"], row)]
    known = select_known(connection, claim, marks)
    unknown = [each for each in marks if each not in known]
    left = ask(connection, _SELECT_LEFT, (claim.base or 0, claim.part), unknown)
    more = len(marks) == SWEPT_AT_ONCE
    place = {"run_id": claim.run_id, "part": claim.part, "swept": marks[-1] if more else None}
    connection.execute(_SQL["set_swept"], place)
    found = (taken(each)[0] for each in left)
    return [page_row(claim, each, each.parent) for each in found], more
