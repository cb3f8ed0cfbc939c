"""What the master needs of the database, so that a pause or a delete is final when it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from crawler.model import Event, Failures, Keep, Progress, Retried, Stamp


class Mirrored(Protocol):
    """What SQL remembers of a resource."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def created_ns(self) -> int: ...
    @property
    def definition(self) -> str | None: ...
    @property
    def desired(self) -> str: ...
    @property
    def run(self) -> int: ...
    @property
    def due(self) -> int: ...
    @property
    def since(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Memo:
    """What SQL is to remember of a resource; fields as in `Mirrored`."""

    id: str
    name: str
    created_ns: int
    definition: str | None
    desired: str
    run: int
    due: int = 0
    since: int = 0


class Fence(Protocol):
    """The database's half of ownership. Raises `StoreUnavailable` when it can't be reached."""

    @property
    def id(self) -> str:
        """The store's own uuid."""

    async def open_epoch(self, cluster: str, revision: int) -> int:
        """Epoch of this etcd; `Conflict` when etcd went back in time."""

    async def raise_fence(self, stamp: Stamp) -> None:
        """No claim at or below ``stamp`` commits any more."""

    async def bury(self, resource_id: str) -> None:
        """No commit and no claim for this ID, ever."""

    async def mirror(self, entries: Sequence[Memo]) -> None:
        """Remember resources (upsert by ID; buried ones stay buried)."""

    async def note(self, events: Sequence[tuple[str, Event]]) -> None:
        """Add events by resource ID; nothing for buried ones."""

    async def purge(self, limit: int) -> int:
        """Delete up to ``limit`` rows of buried resources; how many went, 0: nothing is left."""

    async def trim(self, resource_id: str, keep: Keep, limit: int) -> bool:
        """Delete about ``limit`` rows of what need not be kept of it; whether there is more."""

    async def due_runs(self, due: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
        """By resource ID: the number of the run that its due time (Unix seconds) has begun, and the
        highest number of any of its runs; 0 for none."""

    async def progress(self, resource_ids: Sequence[str]) -> Mapping[str, tuple[int, Progress]]:
        """Latest run and its counters, per resource ID that has one."""

    async def failed(
        self, resource_id: str, run: int, wanted: Failures, *, after: int = 0, limit: int = 1000
    ) -> Sequence[int]:
        """The seqs above ``after`` of failed pages of that run, in order."""

    async def retry(self, stamp: Stamp, run: int, pages: Sequence[int]) -> Retried:
        """Those of these pages that are failed are pending again, and their run goes on. `Fenced`
        where something newer than ``stamp`` stands, `Conflict` where there is a later run."""

    async def mirrored(self) -> Sequence[Mirrored]:
        """Resources that the database remembers."""
