"""Who owns what: epochs, claims, fences, tombstones and the mirror, each inside one transaction.

Locks are taken in one order: the resource, its fence, its pages, its run; of epochs last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crawler.errors import Conflict, Fenced, StoreUnavailable
from crawler.model import Event, Stamp
from crawler.store import statements
from crawler.store.cleaning import clean_text
from crawler.store.contract import Job, Memo, Mirrored
from crawler.store.fencing import Claim, Fence, Token, may_claim, may_raise
from crawler.store.heritage import base_of
from crawler.store.postgres.connection import Transaction
from crawler.store.postgres.outbox import open_outbox
from crawler.store.runs import check_due, check_run, replaced
from crawler.store.telling import event_row

_SQL = statements.statements("postgres", "ledger")


async def open_epoch(tx: Transaction, cluster: str, revision: int) -> int:
    """The epoch of ``cluster``, which rises above all others when new. Raises `Conflict`."""
    await tx.run(_SQL["lock_epochs"])
    newest = await _newest_epoch(tx)
    known = await tx.one(_SQL["select_epoch"], (cluster,))
    if known is None:
        row = {"epoch": newest + 1, "cluster": cluster, "revision": revision}
        await tx.run(_SQL["insert_epoch"], row)
        return newest + 1
    epoch, seen = known
    if epoch < newest:
        raise Conflict("a newer cluster uuid has taken the place of this one")
    if revision < seen:
        raise Conflict(f"etcd is at revision {revision}, but {seen} was seen of it before")
    await tx.run(_SQL["raise_revision"], {"epoch": epoch, "revision": revision})
    return int(epoch)


async def claim(tx: Transaction, stamp: Stamp, job: Job) -> Claim:
    """Raise the token to ``stamp`` and draw a claim number. Raises `Fenced`, `Conflict`."""
    token = await _token(tx, stamp)
    if token[0] < await _newest_epoch(tx):
        raise Fenced("this assignment is of a cluster that was replaced")
    await tx.run(_SQL["insert_resource"], _resource_row(stamp, job))
    if not await lock_resource(tx, stamp.resource_id):
        raise Fenced(f"resource {stamp.resource_id} is deleted")
    if not may_claim(await standing_fence(tx, stamp), token):
        raise _outranked(stamp)
    node = clean_text(job.node)
    number = await _raise(tx, stamp, token, open_=True, node=node)
    if number is None:
        raise _outranked(stamp)
    run_id, begun_at, base = await _run(tx, stamp, job)
    detail = f"run {job.run}" + (f", part {stamp.part}" if job.parts > 1 else "")
    event = Event(0, tx.now, "claimed", detail, node, job.request_id)
    await insert_events(tx, [(stamp.resource_id, event)])
    held = Claim(
        stamp.resource_id,
        stamp.part,
        token,
        number,
        run_id,
        job.run,
        job.definition_revision,
        node,
        job.parts,
        bool(job.sinks),
        base,
        begun_at,
        job.request_id,
    )
    await open_outbox(tx, held, job.sinks)
    return held


async def check_claim(tx: Transaction, held: Claim) -> None:
    """Raise `Fenced` unless this very claim still stands; it then stands until the transaction
    ends, as whoever raises it waits for the lock taken here."""
    await _find_claim(tx, held, "check_claim")


async def look_at_claim(tx: Transaction, held: Claim) -> None:
    """The same without a lock, for what only reads."""
    await _find_claim(tx, held, "look_at_claim")


async def _find_claim(tx: Transaction, held: Claim, statement: str) -> None:
    row = (held.resource_id, held.part, *held.token, held.number)
    if await tx.one(_SQL[statement], row) is None:
        raise Fenced(f"a newer claim, fence or tombstone stands for {held.resource_id}/{held.part}")


async def check_stamp(tx: Transaction, stamp: Stamp) -> None:
    """Raise `Fenced` where something newer than this assignment stands; nothing newer may then
    until the transaction ends. Its resource is locked already."""
    token = await _token(tx, stamp)
    if token[0] < await _newest_epoch(tx):
        raise Fenced("this assignment is of a cluster that was replaced")
    if not may_raise(await standing_fence(tx, stamp), token):
        raise _outranked(stamp)


async def raise_fence(tx: Transaction, stamp: Stamp) -> None:
    """Close the part to every claim at or below ``stamp``; a tombstone closes it for good."""
    token = await _token(tx, stamp)
    known = await tx.one(_SQL["lock_resource"], (stamp.resource_id,))
    if known is not None and known[0]:
        return
    if may_raise(await standing_fence(tx, stamp), token):
        await _raise(tx, stamp, token, open_=False, node="")  # None: something newer came first


async def lock_resource(tx: Transaction, resource_id: str) -> bool:
    """Whether it is there and not buried; nobody else writes about it until the end."""
    row = await tx.one(_SQL["lock_resource"], (resource_id,))
    return row is not None and not row[0]


async def bury(tx: Transaction, resource_id: str) -> None:
    """Tombstone, and every part closed."""
    await tx.run(_SQL["bury_resource"], (resource_id,))
    await tx.run(_SQL["close_fences"], (resource_id,))


async def note_all(tx: Transaction, events: Sequence[tuple[str, Event]]) -> None:
    """Add events that others saw, each with its own time; none of what is buried."""
    ids = sorted({resource_id for resource_id, _ in events})
    buried = {row[0] for row in await tx.all(_SQL["lock_resources"], (ids,)) if row[1]}
    await insert_events(tx, [each for each in events if each[0] not in buried])


async def insert_events(tx: Transaction, events: Sequence[tuple[str, Event]]) -> None:
    """Add events of locked resources."""
    rows = [event_row(resource_id, event) for resource_id, event in events]
    if rows:
        await tx.run(_SQL["insert_events"], columns(rows))


async def mirror(tx: Transaction, entries: Sequence[Memo]) -> None:
    """Upsert by ID, the last of each; tombstones stay."""
    rows = {
        each.id: (
            each.id,
            clean_text(each.name),
            each.created_ns,
            None if each.definition is None else clean_text(each.definition),
            each.desired,
            each.run,
            each.due,
            each.since,
        )
        for each in entries
    }
    await tx.run(_SQL["upsert_resources"], columns(list(rows.values())))


async def mirrored(tx: Transaction) -> list[Mirrored]:
    """All that are not buried, by ID."""
    return [Mirrored(*row) for row in await tx.all(_SQL["select_resources"])]


async def health(tx: Transaction) -> tuple[Any, ...]:
    """Version, bytes, synchronous_commit, whether it is a standby, connections and their limit."""
    row = await tx.one(_SQL["select_health"])
    assert row is not None
    return row


async def standing_fence(tx: Transaction, stamp: Stamp) -> Fence | None:
    """What stands for the part now, locked."""
    row = await tx.one(_SQL["select_fence"], (stamp.resource_id, stamp.part))
    return None if row is None else Fence((row[0], row[1]), row[2])


def columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    """Rows turned into arrays, one per column, as ``unnest`` takes them; there is at least one."""
    return [list(column) for column in zip(*rows, strict=True)]


async def _newest_epoch(tx: Transaction) -> int:
    row = await tx.one(_SQL["select_newest_epoch"])
    assert row is not None
    return int(row[0])


async def _token(tx: Transaction, stamp: Stamp) -> Token:
    known = await tx.one(_SQL["select_epoch"], (stamp.cluster,))
    if known is None:
        raise StoreUnavailable("the leader has yet to open this cluster's epoch in the store")
    return int(known[0]), stamp.revision


def _outranked(stamp: Stamp) -> Fenced:
    return Fenced(f"a newer claim or fence stands for {stamp.resource_id}/{stamp.part}")


async def _raise(
    tx: Transaction, stamp: Stamp, token: Token, *, open_: bool, node: str
) -> int | None:
    """The claim number drawn; None where something that may stay came between look and write."""
    row = {
        "resource_id": stamp.resource_id,
        "part": stamp.part,
        "epoch": token[0],
        "revision": token[1],
        "open": open_,
        "node": node,
    }
    found = await tx.one(_SQL["upsert_fence"], row)
    await tx.run(_SQL["raise_revision"], {"epoch": token[0], "revision": token[1]})
    return None if found is None else int(found[0])


def _resource_row(stamp: Stamp, job: Job) -> dict[str, object]:
    return {
        "id": stamp.resource_id,
        "name": clean_text(job.name),
        "definition": clean_text(job.definition),
        "run": job.run,
        "due": job.due,
    }


async def _run(tx: Transaction, stamp: Stamp, job: Job) -> tuple[int, float, int | None]:
    """The key of the run, when it began, and the key of its base."""
    other = await tx.one(_SQL["select_run_of_due"], (stamp.resource_id, job.due))
    check_due(job, None if other is None else int(other[0]))
    key = (stamp.resource_id, job.run)
    new = await tx.run(_SQL["insert_run"], (*key, job.due, tx.now, job.recipe))
    if new:
        row = {"resource_id": stamp.resource_id, "run": job.run, "now": tx.now}
        await tx.run(_SQL["replace_runs"], {**row, "reason": replaced(job)})
    found = await tx.one(_SQL["select_run"], key)
    assert found is not None
    run_id, due, begun_at, recipe, base = found
    check_run(job, due)
    if new:
        base = base_of(await tx.one(_SQL["select_base"], key), job.recipe)
        await tx.run(_SQL["set_base"], {"run_id": run_id, "base": base})
    elif recipe != job.recipe:
        base = await _mix(tx, run_id, base)
    # Every part of what is taken over has to be seen to, also by an owner that is yet to come.
    swept = b"" if base is not None and job.sweeps else None
    for part in [stamp.part] if base is None else range(max(job.parts, stamp.part + 1)):
        await tx.run(_SQL["insert_counters"], (run_id, part, swept))
    return int(run_id), float(begun_at), base


async def _mix(tx: Transaction, run_id: int, base: int | None) -> int | None:
    """The base from now on of a run that goes on by another definition: none, unless it is over."""
    if not await tx.run(_SQL["mix_recipes"], (run_id,)):
        return base
    await tx.run(_SQL["forget_base"], (run_id,))
    return None
