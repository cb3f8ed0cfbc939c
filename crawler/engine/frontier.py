"""What the engine needs of whoever keeps its URLs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from crawler.model import HostGrant, Progress, Request, Visit


class Window(Protocol):
    """Requests to fetch next. ``next_in_s``: how long after the answer something that waits comes
    due (None: nothing waits)."""

    @property
    def requests(self) -> tuple[Request, ...]: ...

    @property
    def next_in_s(self) -> float | None: ...


class Frontier(Protocol):
    """The URLs of one crawl under one claim. Every method raises `Fenced` once a newer claim
    stands, and `StoreUnavailable` or `OutcomeUnknown` where repeating the same call is right."""

    async def seed(self, requests: Sequence[Request]) -> Progress:
        """Insert the start URLs, once."""

    async def window(self, limit: int, per_host: int, skip: AbstractSet[bytes]) -> Window:
        """Due pending requests, at most ``per_host`` of one host, none of those in ``skip``."""

    async def commit(self, visits: Sequence[Visit]) -> Progress:
        """Record what visits came to, in one transaction."""

    async def targets(self, fingerprints: Sequence[bytes]) -> Sequence[str]:
        """The URLs that those of these pages led to whose committed visits ended elsewhere than
        at their own URL: redirects."""

    async def sweep(self) -> bool:
        """When nothing is pending: take over some of what the run before knew and nobody has
        found; whether more of it is left to look at."""

    async def finish(self, reason: str, *, limit: bool = False) -> Progress:
        """End the run if nothing is pending and all is swept up, or because a limit is reached."""


class Turns(Protocol):
    """Exclusive turns on hosts, over everything the cluster crawls."""

    async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
        """Take or renew turns; values are the seconds from now on within which nobody may send
        the next request, as far as is known here (0.0: none)."""

    async def release(self, hosts: Mapping[str, float]) -> None:
        """Give turns back."""
