"""What a leader owes the database, done until it is done: deletes that are marked, fences of what
is paused or stopped, retries that were cut, the mirror of what etcd holds, and the journal."""

from __future__ import annotations

import structlog

from crawler.coordination.catalog import Entry, read_entry
from crawler.coordination.keys import CLUSTER_KEY
from crawler.errors import Conflict, TermLost
from crawler.master.desk import Desk
from crawler.master.fence import Fence
from crawler.master.mirror import Mirror
from crawler.master.resources import Resources, is_marked
from crawler.master.retries import Retries
from crawler.master.survey import wish_of
from crawler.master.wishes import Wishes
from crawler.model import Desired

log = structlog.get_logger(__name__)

SEAL_BATCH = 200  # per round, so that deletes do not wait for thousands of them
EPOCH_S = 10.0
TRIES = 3


class Upkeep:
    """The duties of one term. Every round does what is due; a failed one is repeated."""

    def __init__(
        self,
        desk: Desk,
        resources: Resources,
        wishes: Wishes,
        retries: Retries,
        mirror: Mirror,
        fence: Fence,
        cluster: str,
    ) -> None:
        self._desk = desk
        self._office = desk.office
        self._resources = resources
        self._wishes = wishes
        self._retries = retries
        self._mirror = mirror
        self._fence = fence
        self._cluster = cluster
        self._sealed: dict[str, int] = {}
        self._seen = 0  # the number of the last change whose duties are done
        self._anew = True  # all must be looked at, whatever changed
        self._left: set[str] = set()  # names of what is yet to be sealed
        self._epoch_at = self._office.clock.elapsed()

    async def round(self) -> bool:
        """Do what is due; whether more is left. Raises `StoreUnavailable` and what etcd raises."""
        catalog = self._office.catalog
        changed, seen = catalog.changed_since(self._seen)
        self._anew = self._anew or self._mirror.outdated()
        names = catalog.entries.keys() if self._anew else {*changed, *self._left}
        entries = [entry for name in names if (entry := catalog.entries.get(name)) is not None]
        if self._anew:
            self._sealed = {name: at for name, at in self._sealed.items() if name in names}
        for entry in entries:
            if is_marked(entry):
                await self._bury(entry.name)
        self._left = await self._seal(entries)
        await self._retries.heal(entries)
        await self._mirror.update(entries, anew=self._anew)
        self._seen, self._anew = seen, False
        await self._desk.journal.flush()
        await self._note_revision()
        return bool(self._left)

    async def _bury(self, name: str) -> None:
        async with self._desk.lock(name):
            entry = await read_entry(self._office.etcd, name)
            if is_marked(entry):  # nobody has finished it while the lock was waited for
                await self._resources.finish(entry)

    async def _seal(self, entries: list[Entry]) -> set[str]:
        """Seal some of what rests; the names of the rest of it."""
        due = [entry for entry in entries if self._unsealed(entry)]
        for entry in due[:SEAL_BATCH]:
            await self._wishes.seal(entry)
            assert entry.resource is not None
            self._sealed[entry.name] = entry.resource.revision
        return {entry.name for entry in due[SEAL_BATCH:]}

    def _unsealed(self, entry: Entry) -> bool:
        resource, wish = entry.resource, wish_of(entry)
        if resource is None or wish is None or wish.state not in (Desired.PAUSED, Desired.STOPPED):
            self._sealed.pop(entry.name, None)
            return False
        return self._sealed.get(entry.name) != resource.revision

    async def _note_revision(self) -> None:
        """Let the database know how far etcd is, so that a step back in time shows."""
        now = self._office.clock.elapsed()
        if now < self._epoch_at + EPOCH_S:
            return
        self._epoch_at = now
        reason = ""
        for _ in range(TRIES):
            snapshot = await self._office.etcd.range(CLUSTER_KEY)
            try:
                await self._fence.open_epoch(self._cluster, snapshot.revision)
            except Conflict as error:
                reason = str(error)  # perhaps only a claim that came between
            else:
                return
        raise TermLost(f"etcd went back in time under this term: {reason}")
