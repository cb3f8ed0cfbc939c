"""What every backend promises of the outbox: which items are yet to be sent to which sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Delivery:
    """The right to send one run's items to one sink, under lease number ``lease``. ``sinks`` is
    what the definition says now of all sinks (a JSON list; None: nothing), ``seq`` that of the last
    item delivered, ``failures`` how often in a row sending failed."""

    run_id: int
    resource_id: str
    name: str
    run: int
    sink: str
    sinks: str | None
    lease: int
    seq: int
    failures: int

    @property
    def key(self) -> tuple[int, str]:
        return self.run_id, self.sink


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An item on its way out. ``fields`` and ``missing`` are JSON texts as they were stored, so
    that nobody reads them only to write them again."""

    seq: int
    fingerprint: bytes
    ordinal: int
    url: str
    rule: str
    fields: str
    missing: str | None
    stored_at: float


class Outbox(Protocol):
    """What is yet to be sent to sinks, in the order of the commits; bound to one holder.

    The items themselves are the outbox: the transaction that adds them marks the sinks of their
    run as behind, and their seq rises in the order of the commits, so a cursor passes over
    nothing. A cursor moves under a lease only, whose number each taking raises: what is sent may
    be sent again, nothing is left out. A lease lasts ``HOLD_S`` seconds from each call that renews
    it. `read`, `advance`, `settle` and
    `postpone` raise `Fenced` once somebody else has taken it.
    """

    async def take(
        self, limit: int, skip: AbstractSet[tuple[int, str]], *, early: bool = False
    ) -> Sequence[Delivery]:
        """Lease up to ``limit`` that are behind and due (``early``: also those put off), and are
        held by nobody else; not those whose `Delivery.key` is in ``skip``. A sink gets the runs of
        a resource one after the other.

        A holder that is built anew under the same text takes its own again at once."""

    async def read(self, delivery: Delivery, limit: int, max_bytes: int) -> Sequence[Outgoing]:
        """The next items: at most ``limit``, and none once their fields reach ``max_bytes``; one at
        the least where there is any."""

    async def advance(self, delivery: Delivery, seq: int, count: int) -> Delivery:
        """All up to ``seq`` are delivered, ``count`` of them now; renews the lease."""

    async def settle(self, delivery: Delivery) -> bool:
        """Give the lease back if nothing is left; whether nothing was. The next commit of items
        makes the sink due again."""

    async def postpone(self, delivery: Delivery, wait_s: float, trouble: str) -> None:
        """Give the lease back after a failure; nobody takes it for ``wait_s`` (an hour at most), or
        until the part is claimed anew. "": nothing failed, it is only others' turn."""

    async def lags(self, limit: int) -> Mapping[tuple[str, str], int]:
        """How many items the sinks that are behind have yet to get, by name of the resource and of
        the sink, of ``limit`` sinks of runs at most. It asks for no lease."""

    async def release(self) -> None:
        """Give back all leases of this holder."""
