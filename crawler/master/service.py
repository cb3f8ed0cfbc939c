"""A master's gRPC services: a call is carried out where it leads, else forwarded, once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

import structlog
from google.protobuf.empty_pb2 import Empty

from crawler.access import asking
from crawler.clock import Clock
from crawler.coordination.catalog import read_entry, read_nodes
from crawler.definition import from_json
from crawler.errors import InvalidInput, NotFound
from crawler.failpoint import hit
from crawler.master.feed import Feed
from crawler.master.leader import Leader
from crawler.master.listing import Listing, Wanted, page_of
from crawler.master.master import Master
from crawler.master.retries import Wanted as WantedPages
from crawler.master.views import show_nodes, show_resource
from crawler.master.wishes import check_action
from crawler.model import check_name, read_failures
from crawler.rpc.calls import Channels, MasterCalls
from crawler.rpc.incoming import Context, hops, remaining_s
from crawler.rpc.pb.control_pb2 import (
    DesireReply,
    DesireRequest,
    DrainRequest,
    ListRequest,
    NameRequest,
    NodeList,
    NodesRequest,
    Notice,
    PutReply,
    PutRequest,
    ResourceList,
    ResourceView,
    RetryReply,
    RetryRequest,
    WatchRequest,
)
from crawler.rpc.pb.control_pb2_grpc import CrawlerControlServicer
from crawler.rpc.pb.crawler_pb2 import NodeSpec, ResourceSpec
from crawler.rpc.pb.crawler_pb2_grpc import CrawlerMasterServicer

log = structlog.get_logger(__name__)

FORWARD_S = 3.0  # longest wait for the leader's answer: callers wait 5 s, an election may take 1 s
ANSWER_S = 0.2  # left of the caller's deadline, so that it hears of ours

A = TypeVar("A")


class Router:
    """Takes every write to the leader, wherever that is."""

    def __init__(self, master: Master, channels: Channels, mark: str = "") -> None:
        """``mark``: by which the leader knows this master's calls, see `MasterCalls`."""
        self._master = master
        self._channels = channels
        self._mark = mark

    async def carry_out(
        self,
        context: Context,
        here: Callable[[Leader], Awaitable[A]],
        there: Callable[[MasterCalls, float], Awaitable[A]],
        *,
        ends_term: bool = False,
    ) -> A:
        """Call ``here`` with this master's term, or ``there`` with the leader's address and the
        seconds it may take. A call that was forwarded already is never forwarded again.

        ``ends_term``: the call outlives the term, which therefore does not wait for its end."""
        found = await self._master.route(forward=not hops(context))
        if isinstance(found, Leader):
            if ends_term:
                return await here(found)
            with self._master.carry_out():
                answer = await here(found)
                await hit("master.before_reply")
                return answer
        seconds = max(0.1, remaining_s(context, FORWARD_S + ANSWER_S) - ANSWER_S)
        log.debug("forward", leader=found, seconds=seconds)
        return await there(MasterCalls(self._channels, found, hop=1, mark=self._mark), seconds)


class MasterService(CrawlerMasterServicer):
    """The two calls of the Go original."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def AddResource(  # noqa: N802 -- the wire's name
        self, request: ResourceSpec, context: Context
    ) -> NodeSpec:
        check_name(request.name)
        text = request.definition_json
        definition = from_json(text).canonical() if text else None

        async def here(leader: Leader) -> NodeSpec:
            placed = await leader.resources.add(request.name, definition, asking.get())
            return NodeSpec(id=placed.node_id, Address=placed.address)

        return await self._router.carry_out(
            context, here, lambda calls, s: calls.add_resource(request, timeout_s=s)
        )

    async def DeleteResource(  # noqa: N802 -- the wire's name
        self, request: ResourceSpec, context: Context
    ) -> Empty:
        check_name(request.name)

        async def here(leader: Leader) -> Empty:
            await leader.resources.delete(request.name)
            return Empty()

        return await self._router.carry_out(
            context, here, lambda calls, s: calls.delete_resource(request, timeout_s=s)
        )


class ControlService(CrawlerControlServicer):
    """What masters offer beyond that. Reads are answered by any master, from etcd as it is now."""

    def __init__(self, router: Router, master: Master, feed: Feed, clock: Clock) -> None:
        self._router = router
        self._master = master
        self._feed = feed
        self._clock = clock
        self._listing = Listing()

    async def PutResource(  # noqa: N802 -- the wire's name
        self, request: PutRequest, context: Context
    ) -> PutReply:
        check_name(request.name)
        if not request.definition_json:
            raise InvalidInput("definition_json: a definition is needed", field="definition_json")
        definition = from_json(request.definition_json).canonical()

        async def here(leader: Leader) -> PutReply:
            placed = await leader.resources.put(request.name, definition, asking.get())
            return PutReply(
                resource_id=placed.resource_id,
                node_id=placed.node_id,
                address=placed.address,
                created=placed.created,
                changed=placed.changed,
            )

        return await self._router.carry_out(
            context, here, lambda calls, s: calls.put_resource(request, timeout_s=s)
        )

    async def SetDesired(  # noqa: N802 -- the wire's name
        self, request: DesireRequest, context: Context
    ) -> DesireReply:
        check_name(request.name)
        action = check_action(request.action)

        async def here(leader: Leader) -> DesireReply:
            turn = await leader.wishes.desire(request.name, action, request.after_run)
            return DesireReply(changed=turn.change, run=turn.wish.run)

        return await self._router.carry_out(
            context, here, lambda calls, s: calls.set_desired(request, timeout_s=s)
        )

    async def RetryPages(  # noqa: N802 -- the wire's name
        self, request: RetryRequest, context: Context
    ) -> RetryReply:
        check_name(request.name)
        failures = read_failures(request.status, request.reason)
        wanted = WantedPages(failures, request.run or None, request.after, request.dry_run)

        async def here(leader: Leader) -> RetryReply:
            answer = await leader.retries.retry(request.name, wanted)
            return RetryReply(run=answer.run, pages=answer.pages, next=answer.next)

        return await self._router.carry_out(
            context, here, lambda calls, s: calls.retry_pages(request, timeout_s=s)
        )

    async def Watch(  # noqa: N802 -- the wire's name
        self, request: WatchRequest, context: Context
    ) -> AsyncGenerator[Notice]:
        del context
        await self._master.catalog.caught_up()
        self._feed.look()  # so that no cursor of another master is ahead of this one
        async with aclosing(self._feed.follow(request.cursor)) as notices:
            async for notice in notices:
                yield notice

    async def DrainNode(  # noqa: N802 -- the wire's name
        self, request: DrainRequest, context: Context
    ) -> Empty:
        async def here(leader: Leader) -> Empty:
            await leader.resources.drain(request.node, undo=request.undo)
            return Empty()

        return await self._router.carry_out(
            context, here, lambda calls, s: calls.drain_node(request, timeout_s=s)
        )

    async def ListResources(  # noqa: N802 -- the wire's name
        self, request: ListRequest, context: Context
    ) -> ResourceList:
        del context
        catalog = self._master.catalog
        await catalog.caught_up()
        wanted = Wanted(
            request.limit, request.cursor, request.state, request.prefix, request.contains
        )
        page = self._listing.page(catalog.entries, frozenset(catalog.workers), wanted)
        live = catalog.workers
        return ResourceList(
            resources=[show_resource(each, live, definition=False) for each in page.entries],
            next=page.next,
            totals=page.totals,
        )

    async def GetResource(  # noqa: N802 -- the wire's name
        self, request: NameRequest, context: Context
    ) -> ResourceView:
        del context
        name = check_name(request.name)
        entry = await read_entry(self._master.etcd, name)
        if entry.resource is None:
            raise NotFound(f"there is no resource {name}")
        return show_resource(entry, self._master.catalog.workers, definition=True)

    async def ListNodes(  # noqa: N802 -- the wire's name
        self, request: NodesRequest, context: Context
    ) -> NodeList:
        del context
        view = await read_nodes(self._master.etcd)
        leader, seal = self._master.catalog.leader, self._master.catalog.seal
        nodes = list(show_nodes(view, leader, self._clock.wall(), seal))
        return NodeList(**page_of(nodes, request.limit, request.cursor))
