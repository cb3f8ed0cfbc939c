"""The outbox of this backend: leases on sinks, and the items that they have yet to get. Its times
are the database's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from crawler.errors import Fenced
from crawler.model import SinkRecord
from crawler.store import statements
from crawler.store.cleaning import clean_text
from crawler.store.fencing import Claim
from crawler.store.leases import HOLD_S, SINKS_SHOWN, asked, key_of, postponed, summed, taken_over
from crawler.store.outbox import Delivery, Outgoing
from crawler.store.postgres.connection import Database, Transaction

_SQL = statements.statements("postgres", "outbox")
Key = tuple[int, str]


class PostgresOutbox:
    """Bound to one holder."""

    def __init__(self, holder: str, database: Database) -> None:
        self._holder = clean_text(holder)
        self._database = database

    async def take(
        self, limit: int, skip: AbstractSet[Key], *, early: bool = False
    ) -> Sequence[Delivery]:
        if limit <= 0:
            return ()
        found = await self._database.read(lambda tx: self._due(tx, limit, skip, early))
        if not found:
            return ()
        return await self._database.write("take", lambda tx: self._take(tx, found))

    async def read(self, delivery: Delivery, limit: int, max_bytes: int) -> Sequence[Outgoing]:
        return await self._database.read(lambda tx: _outgoing(tx, delivery, limit, max_bytes))

    async def advance(self, delivery: Delivery, seq: int, count: int) -> Delivery:
        async def work(tx: Transaction) -> None:
            row = {"seq": seq, "count": count, "now": tx.now, "until": tx.now + HOLD_S}
            await _change(tx, "advance_outbox", delivery, row)

        await self._database.write("advance", work)
        return replace(delivery, seq=seq, failures=0)

    async def settle(self, delivery: Delivery) -> bool:
        async def work(tx: Transaction) -> bool:
            await tx.run(_SQL["lock_run"], (delivery.run_id,))
            await _check(tx, delivery)
            return bool(await tx.run(_SQL["settle_outbox"], key_of(delivery)))

        return await self._database.write("settle", work)

    async def postpone(self, delivery: Delivery, wait_s: float, trouble: str) -> None:
        await self._database.write(
            "postpone",
            lambda tx: _change(
                tx, "postpone_outbox", delivery, postponed(delivery, wait_s, trouble, tx.now)
            ),
        )

    async def lags(self, limit: int) -> Mapping[tuple[str, str], int]:
        async def work(tx: Transaction) -> Mapping[tuple[str, str], int]:
            return summed(await tx.all(_SQL["select_lags"], (limit,)))

        return await self._database.read(work)

    async def release(self) -> None:
        await self._database.write(
            "give_back", lambda tx: tx.run(_SQL["release_outbox"], (self._holder,))
        )

    async def _due(
        self, tx: Transaction, limit: int, skip: AbstractSet[Key], early: bool
    ) -> list[Key]:
        wanted = asked(self._holder, tx.now, limit + len(skip), early=early)
        rows = await tx.all(_SQL["select_due_outbox"], wanted)
        found = [(int(run_id), str(sink)) for run_id, sink in rows]
        return [key for key in found if key not in skip][:limit]

    async def _take(self, tx: Transaction, keys: Sequence[Key]) -> list[Delivery]:
        found = []
        for run_id, sink in sorted(keys):
            row = {**asked(self._holder, tx.now, 1), "run_id": run_id, "sink": sink}
            if await tx.one(_SQL["lock_due_outbox"], row) is None:
                continue
            await tx.run(_SQL["lease_outbox"], {**row, "until": tx.now + HOLD_S})
            taken = await tx.one(_SQL["select_delivery"], row)
            if taken is not None:  # not of a resource that was buried
                found.append(Delivery(*taken))
        return found


async def _outgoing(
    tx: Transaction, delivery: Delivery, limit: int, max_bytes: int
) -> list[Outgoing]:
    await _check(tx, delivery)
    row = {
        "run_id": delivery.run_id,
        "seq": delivery.seq,
        "limit": limit,
        "max_bytes": max_bytes,
    }
    rows = await tx.all(_SQL["select_outgoing"], row)
    return [Outgoing(seq, bytes(mark), *rest) for seq, mark, *rest in rows]


async def _change(tx: Transaction, statement: str, delivery: Delivery, row: dict[str, Any]) -> None:
    if not await tx.run(_SQL[statement], {**key_of(delivery), **row}):
        raise Fenced(taken_over(delivery))


async def _check(tx: Transaction, delivery: Delivery) -> None:
    if await tx.one(_SQL["check_lease"], key_of(delivery)) is None:
        raise Fenced(taken_over(delivery))


async def open_outbox(tx: Transaction, claim: Claim, sinks: Sequence[str]) -> None:
    """At a claim: part 0 says which sinks there are, all see that they are behind."""
    if claim.part == 0:
        names = sorted({clean_text(each) for each in sinks})
        await tx.run(_SQL["forget_sinks"], (claim.resource_id, names))
        await tx.run(_SQL["hurry_outbox"], (claim.resource_id,))
        if names:
            await tx.run(_SQL["insert_outbox"], (claim.run_id, names))
    elif sinks:
        await wake(tx, claim)


async def wake(tx: Transaction, claim: Claim) -> None:
    """Items were added: the sinks of their run are behind."""
    await tx.run(_SQL["wake_outbox"], (claim.run_id,))


async def sinks(tx: Transaction, resource_id: str) -> list[SinkRecord]:
    """How far they are."""
    row = {"resource_id": resource_id, "now": tx.now, "limit": SINKS_SHOWN}
    return [SinkRecord(*each) for each in await tx.all(_SQL["list_sinks"], row)]
