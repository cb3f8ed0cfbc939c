"""One request to whoever is to be asked, and what its answer does to what is kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from crawler.cache.answers import Stored, asked_for
from crawler.cache.changes import agrees, conditions, confirms, freshened, outdated
from crawler.cache.fields import Fields, date_text
from crawler.cache.reuse import despite_error, judge, wishes
from crawler.cache.shelf import Shelf
from crawler.cache.storing import may_freshen, why_not
from crawler.clock import Clock
from crawler.engine.retry import retry_after_s
from crawler.errors import FetchFailed
from crawler.proxy.hops import end_to_end, passed_by
from crawler.proxy.hosts import Hosts
from crawler.proxy.interim import Inform
from crawler.proxy.marks import Sealing, mark
from crawler.proxy.messages import Client, Request
from crawler.proxy.notes import Note, Result
from crawler.proxy.origin import Origin, Reply, repeatable
from crawler.proxy.peers import Peer, Peers, severity
from crawler.proxy.refusals import Refusal, uncached, unreachable
from crawler.proxy.replies import Replies

log = structlog.get_logger(__name__)

_FAILING = frozenset({500, 502, 503, 504})  # RFC 5861, 4
_BUSY = frozenset({429, 503})
_UNKNOWN = "peer does not know us"
_UNSENT = frozenset({"connection failed", "connect timeout"})
_CONDITIONS = frozenset({
    "if-none-match", "if-modified-since", "if-range", "range",
})  # fmt: skip


class _OtherAnswer(Exception):
    """The origin said 304 about another answer than was asked about."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Who can be asked, and what is known of them."""

    origin: Origin
    hosts: Hosts
    peers: Peers
    seal: Callable[[], Sealing]


class Exchange:
    """``name``: what this proxy calls itself towards others."""

    def __init__(self, ways: Ways, shelf: Shelf, replies: Replies, clock: Clock, name: str) -> None:
        self._ways = ways
        self._shelf = shelf
        self._replies = replies
        self._clock = clock
        self._name = name

    async def run(
        self,
        request: Request,
        stored: Stored | None,
        client: Client,
        note: Note,
        known: Callable[[], None],
    ) -> None:
        """Ask, answer the client, keep what may be kept. ``stored``: what is kept for this request,
        not fit to be served without asking. ``known`` is called as soon as it is clear that the
        answer will not be found here. Raises `Refusal`, and `FetchFailed` where the answer broke
        off."""
        peer = None if request.by_peer else self._ways.peers.owner(request.url)
        if peer is not None:
            known()
            if await self._by_peer(peer, request, client, note):
                return
            if "only-if-cached" in wishes(request.fields):
                raise uncached()
        try:
            await self._by_origin(request, stored, client, note, known)
        except FetchFailed as failure:
            if client.started:
                raise
            raise unreachable(request.host, failure.reason) from failure

    async def _by_peer(self, peer: Peer, request: Request, client: Client, note: Note) -> bool:
        """False: it could not be asked, and the origin has seen nothing of the request."""
        fields = passed_by(request.fields, self._name)
        seal, now = self._ways.seal(), self._clock.wall()
        proof = mark(seal, peer.id, request.method, request.url, now)
        try:
            asked = (peer, request, fields, proof, self._informing(client))
            async with self._ways.origin.ask_peer(*asked) as reply:
                # What the peer passes on has its Cache-Status, whatever an origin says.
                if reply.status == 407 and "cache-status" not in reply.fields:
                    raise FetchFailed(_UNKNOWN, retry=False)
                note.result, note.fwd_status = Result.PEER, reply.status
                head = passed_by(reply.fields, self._name)
                await client.start(reply.status, note.added(head, self._name))
                async with aclosing(reply.body) as body:
                    async for chunk in body:
                        await client.write(chunk)
                await self._end(request, reply)
                await client.finish()
        except FetchFailed as failure:
            self._ways.peers.failed(peer)
            log.log(severity(failure), "peer avoided", peer=peer.id, reason=failure.reason)
            if client.started:
                raise
            unknown = failure.reason == _UNKNOWN and request.body is None  # which can be read once
            if not (unknown or failure.reason in _UNSENT or repeatable(request)):
                raise unreachable(request.host, failure.reason) from failure
            return False
        return True

    async def _by_origin(
        self,
        request: Request,
        stored: Stored | None,
        client: Client,
        note: Note,
        known: Callable[[], None],
    ) -> None:
        fresh: Stored | None = None
        try:
            async with self._ways.hosts.slot(request.host):
                try:
                    fresh = await self._ask(request, stored, client, note, known)
                except _OtherAnswer:
                    fresh = await self._ask(request, None, client, note, known)
        except (FetchFailed, Refusal) as failure:
            if client.started or stored is None:
                raise
            now = self._clock.wall()
            if not despite_error(request.fields, stored, now):
                raise
            judged = judge(request.fields, stored, now)
            log.info("stale because of an error", url=request.url, reason=str(failure))
            note.result = Result.STALE
            if not await self._replies.send(stored, judged, request, client, note):
                raise
            return
        if fresh is not None:
            note.result = Result.REVALIDATED
            judged = judge(request.fields, fresh, self._clock.wall())
            if not await self._replies.send(fresh, judged, request, client, note):
                raise Refusal(
                    502,
                    "what was kept of this page is spoilt; ask again",
                    "proxy_internal_error",
                    retry_after_s=1,
                )

    async def _ask(
        self,
        request: Request,
        stored: Stored | None,
        client: Client,
        note: Note,
        known: Callable[[], None],
    ) -> Stored | None:
        """Ask the origin. What is kept, where that still stands and the client has no answer yet;
        None: it has one. Raises `_OtherAnswer`, and `FetchFailed` before the answer is begun where
        a stale one is better."""
        wanted = conditions(stored) if stored is not None and request.method == "GET" else ()
        fields = request.fields
        if wanted:
            fields = fields.without(_CONDITIONS).plus(*wanted)
        asked_at = self._clock.wall()
        fields = passed_by(fields, self._name)
        async with self._ways.origin.ask(request, fields, self._informing(client)) as reply:
            came_at = self._clock.wall()
            note.fwd_status = reply.status
            self._heed(request.host, reply)
            if wanted and stored is not None and reply.status == 304:
                if not confirms(stored, reply.fields):
                    raise _OtherAnswer
                fresh = freshened(stored, _dated(reply.fields, came_at), asked_at, came_at)
                if may_freshen(request.fields, stored.status, reply.fields, came_at):
                    await self._shelf.put(fresh)
                return fresh
            if (
                stored is not None
                and reply.status in _FAILING
                and despite_error(request.fields, stored, came_at)
            ):
                raise FetchFailed(f"status {reply.status}", retry=True, status=reply.status)
            await self._relay(request, reply, (asked_at, came_at), client, note, known)
        return None

    def _informing(self, client: Client) -> Inform:
        async def inform(status: int, fields: Fields) -> None:
            await client.inform(status, passed_by(end_to_end(fields), self._name))

        return inform

    def _heed(self, host: str, reply: Reply) -> None:
        if reply.status in _BUSY:
            seconds = retry_after_s(reply.fields.get("retry-after"), reply.fields.get("date"))
            if seconds:
                self._ways.hosts.pause(host, seconds)

    async def _relay(
        self,
        request: Request,
        reply: Reply,
        times: tuple[float, float],
        client: Client,
        note: Note,
        known: Callable[[], None],
    ) -> None:
        """Pass an answer on, and keep it where that may be done."""
        fields = _dated(reply.fields, times[1])
        method = (
            request.method if request.body is None else ""
        )  # a body says what is asked for, too
        reason = why_not(method, request.fields, reply.status, fields, times[1])
        length = fields.get("content-length")  # of others the end shows it
        if length.isdecimal() and int(length[:18]) > self._shelf.max_body_bytes:
            reason = "too large"
        if not reply.surely_whole:
            reason = "no end"
        note.stored = not reason
        if reason:
            known()
        spool = None if reason else self._shelf.spool()
        try:
            head = passed_by(fields, self._name)
            await client.start(reply.status, note.added(head, self._name))
            async with aclosing(reply.body) as body:
                async for chunk in body:
                    if spool is not None:
                        await spool.feed(chunk)
                    await client.write(chunk)
            kept = await spool.finish() if spool is not None else None
            if kept is not None:
                asked = asked_for(request.fields, fields)
                stored = Stored(
                    request.url, reply.status, fields, asked, *times, kept.hash, kept.size
                )
                await self._shelf.put(stored, kept)
            await self._end(request, reply)
            await client.finish()
        finally:
            if spool is not None:
                await spool.discard()

    async def _end(self, request: Request, reply: Reply) -> None:
        """What an answer makes void, or freshens, of what is kept."""
        if void := tuple(outdated(request.method, request.url, reply.status, reply.fields)):
            await self._shelf.drop(void)
        if request.method == "HEAD" and reply.status == 200:
            await self._compare(request, reply.fields)

    async def _compare(self, request: Request, head: Fields) -> None:
        """RFC 9111, 4.3.5."""
        now = self._clock.wall()
        stored = await self._shelf.find(request.url, request.fields)
        if stored is None or not may_freshen(request.fields, stored.status, head, now):
            return
        if not agrees(stored, head):
            await self._shelf.drop((request.url,))
            return
        await self._shelf.put(freshened(stored, _dated(head, now), now, now))


def _dated(fields: Fields, came_at: float) -> Fields:
    """With a Date, whether or not the origin has a clock (RFC 9110, 6.6.1)."""
    return fields if "date" in fields else fields.plus(("Date", date_text(came_at)))
