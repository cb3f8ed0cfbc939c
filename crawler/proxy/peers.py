"""Which worker keeps a URL for the whole cluster, so that each page is fetched and kept once.

Rendezvous hashing (Thaler and Ravishankar, 1998): every worker computes the same owner from the
list of those that are registered, and where one comes or goes only its own URLs move.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xxhash import xxh3_64_intdigest

from crawler.clock import Clock
from crawler.errors import FetchFailed

_SETTINGS = frozenset({"certificate not valid", "TLS failed"})
AVOIDED_S = 5.0  # a peer that did not answer; the registry knows soon whether it is gone


@dataclass(frozen=True, slots=True)
class Peer:
    """Another worker's proxy: the id of its node, and ``host:port``."""

    id: str
    address: str


def owner_of(url: str, ids: Iterable[str]) -> str:
    """One of the ids, the same one for the same set. There must be one."""
    return max(ids, key=lambda each: (xxh3_64_intdigest(f"{each}\0{url}".encode()), each))


class Peers:
    """The proxies of the cluster as last heard, this one among them."""

    def __init__(self, own_id: str, clock: Clock) -> None:
        self._own_id = own_id
        self._clock = clock
        self._others: Mapping[str, Peer] = MappingProxyType({})
        self._avoided: dict[str, float] = {}

    def tell(self, others: Iterable[Peer]) -> None:
        """These are registered now, besides this one."""
        self._others = {peer.id: peer for peer in others if peer.id != self._own_id}

    def owner(self, url: str) -> Peer | None:
        """Whom to ask for this URL; None: the origin, because it is ours, or because its owner did
        not answer a moment ago."""
        if not self._others:
            return None
        peer = self._others.get(owner_of(url, (self._own_id, *self._others)))
        if peer is None or self._avoided.get(peer.id, 0.0) > self._clock.elapsed():
            return None
        return peer

    def failed(self, peer: Peer) -> None:
        """It did not answer."""
        now = self._clock.elapsed()
        self._avoided = {id_: until for id_, until in self._avoided.items() if until > now}
        self._avoided[peer.id] = now + AVOIDED_S


def severity(failure: Exception) -> int:
    """Of its line in the log: a peer may die, and the registry tells; one with a wrong certificate
    is a matter of somebody's settings, and goes on."""
    wrong = isinstance(failure, FetchFailed) and failure.reason in _SETTINGS
    return logging.WARNING if wrong else logging.INFO
