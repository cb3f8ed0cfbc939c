"""Plants the defect that CRAWLER_DEFECT names in a process whose PYTHONPATH leads here.

Python imports a module of this name at its start (the `site` module's documentation). The product
knows nothing of it. Where the product has several guards against a mistake, all of them go: a
defect is what would happen without any.
"""

# mypy: disable-error-code="assignment,attr-defined,index,method-assign,return-value"

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn


def _distrust_nobody() -> None:
    """A leader believes in its term, whatever its own clock says."""
    from crawler.master.office import Office

    Office.check = lambda self: None


def leader_unfenced() -> None:
    """Writes of a leader do not compare its election key."""
    from crawler.coordination.election import Term
    from crawler.coordination.etcd import absent

    _distrust_nobody()
    Term.holds = lambda self: absent("/crawler/never")


def leader_by_value() -> None:
    """Leadership is held under a key that the id names, and compared by what stands there."""
    from crawler.coordination.election import Election
    from crawler.errors import TermLost
    from crawler.master.office import Office

    stand = Election.__init__

    def named(self: Any, etcd: Any, session: Any, prefix: str, value: str) -> None:
        stand(self, etcd, session, prefix, value)
        self._key = f"{self._prefix}{value.partition('-')[0]}"

    async def write(self: Any, compares: Any, ops: Any) -> int | None:
        held = await self.etcd.get(self.term.key)
        if held is None or not held.value.startswith(b"master1-"):
            raise TermLost("another id stands there")
        result = await self.etcd.txn(tuple(compares), tuple(ops))
        return result.revision if result.succeeded else None

    Election.__init__ = named
    Office.write = write


def phantom_leader() -> None:
    """A candidate whose lease died while it waited believes that it won."""
    from crawler.coordination.election import Election, Term
    from crawler.coordination.session import Session
    from crawler.master.office import Office

    async def campaign(self: Any) -> Term:
        term: Term = await self._stand()
        while True:
            snapshot = await self._candidates()
            before = [kv for kv in snapshot.kvs if kv.create_revision < term.revision]
            if not before:
                return term
            ahead = max(before, key=lambda kv: kv.create_revision)
            await self._await_end(ahead.key, snapshot.revision + 1)

    async def believe(self: Any, term: Term) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def begin(self: Any) -> int:
        revision: int = (await self.etcd.range(self.term.key)).revision
        return revision

    leader_unfenced()
    Session.remaining = lambda self: 1.0
    Session._check = lambda self: 1.0
    Election.campaign = campaign
    Election.watch_own = believe
    Office.begin = begin


def stale_takeover() -> None:
    """A new leader decides by the workers that it read of when it started, and compares nothing."""
    from crawler.coordination.catalog import Catalog
    from crawler.master import desk, takeover

    known: dict[str, Any] = {}
    read = Catalog._list

    async def read_once(self: Any) -> int:
        revision = await read(self)
        known.update({} if known else self._index.workers)
        return revision

    async def at_once(office: Any, revision: int) -> None:
        """Without waiting for what earlier leaders wrote."""

    Catalog._list = read_once
    Catalog.workers = property(lambda self: known)
    takeover._catch_up = at_once
    desk.unchanged = lambda entry: ()
    desk.registered = lambda node: ()


def watch_without_revision() -> None:
    """A watch that is begun again begins with what comes next."""
    from crawler.coordination import catalog
    from crawler.coordination.watch import Watch

    creation = Watch._creation

    def from_now(self: Any) -> Any:
        self._next = 0
        return creation(self)

    Watch._creation = from_now
    catalog.Catalog.__init__.__kwdefaults__["relist_s"] = 3600.0


def same_id() -> None:
    """Whoever registers last has the place."""
    from crawler.app import worker
    from crawler.coordination.etcd import put
    from crawler.coordination.registry import node_record, registry_key

    async def register(etcd: Any, session: Any, node: Any, seal: Any = None) -> Any:
        write = put(registry_key(node), node_record(node), session.lease)
        result = await etcd.txn((), (write,))
        return replace(node, revision=result.revision, lease=session.lease)

    worker.register = register


def worker_unfenced() -> None:
    """Nobody looks at the fence."""
    from crawler.store.postgres import frontier

    async def trust(tx: Any, claim: Any) -> None:
        """Whoever claimed once."""

    frontier.check_claim = trust
    frontier.look_at_claim = trust


def fence_unlocked() -> None:
    """The fence is looked at, and not held; one may stop right after the look."""
    from crawler.failpoint import hit
    from crawler.store.postgres import frontier, server

    look = frontier.look_at_claim

    async def look_only(tx: Any, claim: Any) -> None:
        await look(tx, claim)
        await hit("store.after_look")

    frontier.check_claim = look_only
    server._SESSION["idle_in_transaction_session_timeout"] = "60s"


def retry_without_key() -> None:
    """A commit that is repeated is one more."""
    from crawler.store import batch
    from crawler.store.postgres import recording

    pending = recording._SQL["select_pending"]
    recording._SQL = {
        **recording._SQL,
        "select_pending": pending.replace("AND state = 'pending'", ""),
    }
    rows = batch._item_rows

    def anywhere(claim: Any, visit: Any, now: float) -> Any:
        for row in rows(claim, visit, now):
            yield (*row[:2], random.randrange(2**31), *row[3:])

    batch._item_rows = anywhere


def half_a_page() -> None:
    """A page's items are left for later, and there is none."""
    from crawler.store.postgres import recording

    work_out = recording.work_out

    def without_some(*arguments: Any) -> Any:
        batch = work_out(*arguments)
        batch.items = [row for row in batch.items if row[1][0] % 4]
        return batch

    recording.work_out = without_some


def delete_without_tombstone() -> None:
    """A delete tells etcd only."""
    from crawler.store.postgres import ledger

    async def forget(tx: Any, resource_id: str) -> None:
        """Nothing."""

    ledger.bury = forget


def early_answer() -> None:
    """A write is acknowledged although etcd did not take it."""
    from crawler.errors import OutcomeUnknown, Unavailable
    from crawler.master.office import Office

    write = Office.write

    async def optimistic(self: Any, compares: Any, ops: Any) -> int | None:
        try:
            return await write(self, compares, ops)
        except (Unavailable, OutcomeUnknown):
            return 1

    Office.write = optimistic


DEFECTS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        leader_unfenced,
        leader_by_value,
        phantom_leader,
        stale_takeover,
        watch_without_revision,
        same_id,
        worker_unfenced,
        fence_unlocked,
        retry_without_key,
        half_a_page,
        delete_without_tombstone,
        early_answer,
    )
}

if "CRAWLER_DEFECT" in os.environ:
    DEFECTS[os.environ["CRAWLER_DEFECT"]]()
