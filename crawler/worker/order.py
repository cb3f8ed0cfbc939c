"""What a child is asked to crawl, and what it is told about pages that killed its predecessors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from crawler.model import Stamp, unit_name


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two orders for one name the same crawl: change any of it and a new one starts.

    ``cluster`` and ``revision`` are the token, so that a token that rose is a new key.
    """

    cluster: str
    resource_id: str
    revision: int
    run: int
    definition_revision: int

    def same_token(self, other: Key) -> bool:
        return (self.cluster, self.resource_id, self.revision) == (
            other.cluster,
            other.resource_id,
            other.revision,
        )


@dataclass(frozen=True, slots=True)
class Strike:
    """A page (hex fingerprint) that was being parsed when its process had to be ended."""

    fingerprint: str
    reason: str


@dataclass(frozen=True, slots=True)
class JobOrder:
    """One crawl to run. ``strikes`` must be committed under the new claim before the start is
    confirmed: they are delivered with every start until one is."""

    name: str
    resource_id: str
    run: int
    definition: str  # canonical JSON
    definition_revision: int
    cluster: str  # the uuid in /crawler/cluster
    revision: int  # the token: mod_revision of the assignment
    node: str  # node id of this worker
    part: int = 0
    parts: int = 1  # how many the resource is divided into
    due: int = 0  # the due time that began the run, in Unix seconds; 0: somebody did by hand
    strikes: tuple[Strike, ...] = ()
    request_id: str = ""  # of the request that the crawl goes back to

    @property
    def unit(self) -> str:
        """What tells it from the other parts of its resource."""
        return unit_name(self.name, self.part)

    @property
    def key(self) -> Key:
        return Key(
            self.cluster, self.resource_id, self.revision, self.run, self.definition_revision
        )

    @property
    def stamp(self) -> Stamp:
        return Stamp(self.cluster, self.resource_id, self.part, self.revision)

    def with_strikes(self, strikes: Iterable[Strike]) -> JobOrder:
        return replace(self, strikes=tuple(strikes))
