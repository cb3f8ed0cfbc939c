"""Who is alive: answered from the registry, and by asking nodes themselves."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from crawler.coordination.etcd import Etcd
from crawler.coordination.keys import NODES
from crawler.coordination.registry import node_id, parse_node
from crawler.coordination.signing import SIGNATURE, Seal
from crawler.errors import CrawlerError, InvalidInput, NotFound, Refused
from crawler.master.master import Master
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, Node
from crawler.rpc.calls import Channels, NodeCalls
from crawler.rpc.incoming import Context
from crawler.rpc.pb import communicate_pb2 as pb
from crawler.rpc.pb.communicate_pb2_grpc import HeartBeatsServicer

ASK_S = 1.0
_SERVICES = (MASTER_SERVICE, WORKER_SERVICE)
_SHORT = {"master": MASTER_SERVICE, "worker": WORKER_SERVICE}


class HeartBeats(HeartBeatsServicer):
    """``healthy`` tells of this master itself."""

    def __init__(
        self, master: Master, channels: Channels, healthy: Callable[[], Awaitable[bool]]
    ) -> None:
        self._master = master
        self._channels = channels
        self._healthy = healthy

    async def IsAlive(self, request: pb.HeartBeat, context: Context) -> pb.OK:  # noqa: N802
        del context
        if not request.who:
            raise InvalidInput("who: a node's id or address", field="who")
        catalog = self._master.catalog
        nodes = (*catalog.masters.values(), *catalog.workers.values())
        if not any(node.address == request.who for node in nodes):
            await believed(self._master.etcd, catalog.seal, pb.Node(name=request.who))
        return pb.OK(ok=True)

    async def AskAlive(self, request: pb.Node, context: Context) -> pb.OK:  # noqa: N802
        del context
        if not request.name:
            return pb.OK(ok=await self._healthy())
        catalog = self._master.catalog
        node = await believed(self._master.etcd, catalog.seal, request)
        try:
            calls = NodeCalls(self._channels, node.address)
            return pb.OK(ok=await calls.serves(timeout_s=ASK_S))
        except CrawlerError:  # it did not answer, or not in time
            return pb.OK(ok=False)


async def find_node(etcd: Etcd, name: str) -> Node:
    """The node as it is registered now, whoever wrote its record. ``name``: ``worker-2``, or the
    full id. Raises `NotFound`."""
    short, _, number = name.partition("-")
    full = node_id(_SHORT[short], number) if short in _SHORT else name
    for service in _SERVICES:
        if full.startswith(f"{service}-"):
            kv = await etcd.get(f"{NODES}{service}/{full}")
            node = parse_node(kv) if kv is not None else None
            if node is not None:
                return node
    raise NotFound(f"there is no node {name[:80]!r}; nodes are called worker-2, or master-1")


def fits(node: Node, asked: pb.Node) -> bool:
    """Whether it is where it is said to be, and its record bears the signature that is named; what
    is not said fits."""
    host = asked.host
    here = host in ("", node.address, node.address.rpartition(":")[0])
    given, known = asked.token.encode(), node.metadata.get(SIGNATURE, "").encode()
    return here and (not given or hmac.compare_digest(given, known))


async def believed(etcd: Etcd, seal: Seal, asked: pb.Node) -> Node:
    """The node, if it is registered and signed, and all that is said of it fits. Raises
    `Refused`."""
    try:
        node = await find_node(etcd, asked.name)
    except NotFound as error:
        raise Refused(str(error)) from error
    if not seal.genuine(node):
        raise Refused(f"the record of {node.id} is not signed by this cluster")
    if not fits(node, asked):
        raise Refused(f"{node.id} is registered with another host or token")
    return node
