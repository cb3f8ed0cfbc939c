"""How many resources one token may have: counted and added to under one lock per owner.

Adds that run at once are so never let through together. What may go beyond the limit are adds whose
outcome is unknown, until the watch tells of them. After etcd was lost and filled again from the
database, resources are nobody's, and count for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from crawler.access import Caller
from crawler.coordination.catalog import Catalog
from crawler.errors import Exhausted


class Quotas:
    """The limits of all callers, under one term; the catalog knows what this leader wrote."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def room(self, caller: Caller) -> AsyncIterator[None]:
        """Room for one more resource of this caller, to be added within the block; raises
        `Exhausted` where there is none."""
        if caller.most is None:
            yield
            return
        lock = self._locks.get(caller.name)
        if lock is None:
            lock = self._locks[caller.name] = asyncio.Lock()
        async with lock:
            if self._count(caller.name) >= caller.most:
                raise Exhausted(
                    f"{caller.name} may have {caller.most} resources and has no room for another: "
                    "delete some, or raise resources= of its line in the file of tokens"
                )
            yield

    def _count(self, owner: str) -> int:
        return sum(
            1
            for entry in self._catalog.entries.values()
            if entry.owner == owner and entry.resource_revision
        )
