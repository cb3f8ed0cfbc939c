"""Takes over what a run's base has of unchanged pages, and sweeps up the rest."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.model import Request
from crawler.store import statements
from crawler.store.batch import Row
from crawler.store.fencing import Claim
from crawler.store.heritage import SWEPT_AT_ONCE, recalled, taken
from crawler.store.postgres.connection import Transaction

_SQL = statements.statements("postgres", "heritage")


async def recall(tx: Transaction, claim: Claim, requests: Sequence[Request]) -> tuple[Request, ...]:
    """The requests with what the base says of them."""
    if claim.base is None or not requests:
        return tuple(requests)
    marks = [each.fingerprint for each in requests]
    row = {"base": claim.base, "fingerprints": marks}
    rows = await tx.all(_SQL["select_before"], row)
    return recalled(requests, rows, claim.begun_at)


async def children(
    tx: Transaction, claim: Claim, shares: Sequence[tuple[bytes, int, int | None]]
) -> list[Row]:
    """What was first found on these pages: of each from the ``first`` on so many (None: all)."""
    if not shares:
        return []
    assert claim.base is not None, "only what the base knows can be unchanged"
    parents, firsts, mosts = (list(column) for column in zip(*shares, strict=True))
    row = {"base": claim.base, "parents": parents, "firsts": firsts, "mosts": mosts}
    return await tx.all(_SQL["select_children"], row)


async def keep_items(tx: Transaction, claim: Claim, unchanged: list[bytes]) -> list[bool]:
    """Copy the items of these pages; of each item, whether fields are missing."""
    if not unchanged:
        return []
    row = {
        "run_id": claim.run_id,
        "base": claim.base,
        "fingerprints": unchanged,
        "now": tx.now,
    }
    return [missing for (missing,) in await tx.all(_SQL["keep_items"], row)]


async def next_marks(tx: Transaction, claim: Claim) -> tuple[list[bytes], bool]:
    """The next pages of the base, whose place is kept, and whether there are more of them."""
    place = await tx.one(_SQL["select_swept"], (claim.run_id, claim.part))
    assert place is not None
    if place[0] is None:
        return [], False
    row = {"base": claim.base, "swept": place[0], "limit": SWEPT_AT_ONCE}
    marks = [bytes(each[0]) for each in await tx.all(_SQL["select_next_base"], row)]
    more = len(marks) == SWEPT_AT_ONCE
    swept = {"run_id": claim.run_id, "part": claim.part, "swept": marks[-1] if more else None}
    await tx.run(_SQL["set_swept"], swept)
    return marks, more


async def left(tx: Transaction, claim: Claim, marks: list[bytes]) -> list[Request]:
    """Those of these pages of the base that are to be taken over."""
    row = {
        "base": claim.base,
        "run_id": claim.run_id,
        "part": claim.part,
        "fingerprints": marks,
    }
    return [taken(each)[0] for each in await tx.all(_SQL["select_left"], row)]
