"""The cache of the cluster as a crawl uses it: on the disk of its worker's proxy, and at others."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from crawler.cache.answers import Stored, asked_for
from crawler.cache.fields import Fields
from crawler.cache.keeping import confirm, keep
from crawler.cache.reuse import Use, judge
from crawler.cache.shelf import Shelf, Space
from crawler.cache.storing import why_not
from crawler.clock import Clock
from crawler.coordination.signing import Seal
from crawler.engine.fetch.kept import Answer, joined
from crawler.proxy.hops import end_to_end
from crawler.proxy.owners import Owners
from crawler.proxy.peers import Peer
from crawler.tls import client_context

Hear = Callable[[Mapping[str, Any]], None]

_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})


class KeptPages:
    """Implements the engine's `PageCache`. What another worker is to keep for the cluster is asked
    of that one, and handed to it; where it is away, this one does with its own disk."""

    def __init__(self, shelf: Shelf, owners: Owners, clock: Clock) -> None:
        self._shelf = shelf
        self._owners = owners
        self._clock = clock

    async def fresh(self, url: str, sent: CIMultiDict[str], most_bytes: int) -> Answer | None:
        """See `PageCache`. A lifetime that the origin did not state is none for a crawl, which
        comes to see what has changed."""
        request = _asked(sent)
        stored = await self._shelf.find(url, request)
        if stored is not None and self._serves(request, stored):
            pieces = await self._shelf.open(stored)
            if pieces is not None:
                return _answer(stored, b"".join([piece async for piece in pieces]))
        peer = self._owners.owner(url)
        if peer is None:
            return None
        found = await self._owners.find(peer, url, request, most_bytes)
        if found is None or not self._serves(request, found[0]):
            return None
        return _answer(*found)

    def _serves(self, request: Fields, stored: Stored) -> bool:
        judged = judge(request, stored, self._clock.wall(), guess=False)
        return stored.status == 200 and judged.use is Use.SERVE

    async def keep(self, url: str, sent: CIMultiDict[str], answer: Answer) -> None:
        """See `PageCache`."""
        request, fields = _asked(sent), end_to_end(_fields(answer.headers))
        times = answer.asked_at, answer.came_at
        news = answer.status == 304
        if not news and why_not("GET", request, answer.status, fields, answer.came_at):
            return
        asked, hashed = asked_for(request, fields), hashlib.sha256(answer.body).hexdigest()
        stored = Stored(url, answer.status, fields, asked, *times, hashed, len(answer.body))
        peer = self._owners.owner(url)
        if peer is not None and await self._owners.give(peer, request, stored, answer.body):
            return
        if news:
            await confirm(self._shelf, request, url, fields, *times)
        else:
            await keep(self._shelf, request, stored, _whole(answer.body))


@asynccontextmanager
async def open_kept(
    settings: Mapping[str, Any], node_id: str, clock: Clock
) -> AsyncIterator[tuple[KeptPages, Hear]]:
    """From what a child is told of the proxy beside it; and what is to be told when that hears news
    of others."""
    space = Space(Path(settings["directory"]), settings["max_bytes"])
    tls = client_context(settings["tls_ca"]) if settings["tls_ca"] is not None else None
    shelf = Shelf(space, clock)
    try:
        async with Owners(node_id, Seal(), clock, tls) as owners:

            def hear(news: Mapping[str, Any]) -> None:
                secrets = tuple(bytes.fromhex(each) for each in news["secrets"])
                seal = Seal(secrets[0], secrets[1:]) if secrets else Seal()
                owners.tell((Peer(*each) for each in news["peers"]), seal)

            yield KeptPages(shelf, owners, clock), hear
    finally:
        shelf.close()


def news_of(peers: Sequence[Peer], seal: Seal) -> Mapping[str, Any]:
    """What children are told of other workers' proxies, through a channel that nobody else
    reads."""
    secrets = () if seal.secret is None else (seal.secret, *seal.others)
    return {
        "peers": [[peer.id, peer.address] for peer in peers],
        "secrets": [each.hex() for each in secrets],
    }


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _answer(stored: Stored, body: bytes) -> Answer:
    headers = joined([(name, _text(value)) for name, value in stored.fields.pairs])
    return Answer(stored.status, headers, body, stored.asked_at, stored.came_at)


def _asked(sent: CIMultiDict[str]) -> Fields:
    return _fields(sent).without(_CONDITIONS)


def _fields(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> Fields:
    """A byte a character, as the proxy has them; aiohttp has read them as UTF-8."""
    pairs = (
        (name, value.encode("utf-8", "surrogateescape").decode("latin-1"))
        for name, value in headers.items()
    )
    return Fields(tuple(pairs))


def _text(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "surrogateescape")
