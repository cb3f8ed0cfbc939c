"""Nodes over HTTP: who is there, who leads, who is to be emptied."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crawler.errors import InvalidInput
from crawler.rpc.calls import MasterCalls
from crawler.rpc.pb import control_pb2 as control
from crawler.web.models import Drain, Node, NodeList, NodeQuery, Nothing, ProxyFigures
from crawler.web.route import CHANGES, LOOKS, Answer, AnyRoute, Asked, Route

PATH = "/crawler/node"

_ID = re.compile(r"[A-Za-z0-9_.\-]{1,128}")


@dataclass(frozen=True, slots=True)
class Nodes:
    """All through this master's own gRPC."""

    calls: MasterCalls

    def routes(self) -> tuple[AnyRoute, ...]:
        """All doors to nodes."""
        return (
            Route(
                "GET", PATH, "List live nodes", self.list,
                Nothing, NodeQuery, NodeList, fails=LOOKS,
            ),
            Route(
                "POST", PATH + "/{id}/drain", "Take all work from a worker, or undo that",
                self.drain, Drain, Nothing, Nothing, check=check_id, fails=CHANGES,
            ),
        )  # fmt: skip

    async def list(self, asked: Asked[Nothing, NodeQuery]) -> Answer:
        request = control.NodesRequest(limit=asked.query.limit, cursor=asked.query.cursor)
        listed = await self.calls.list_nodes(request)
        return Answer(NodeList(nodes=tuple(map(_node, listed.nodes)), next=listed.next))

    async def drain(self, asked: Asked[Drain, Nothing]) -> Answer:
        request = control.DrainRequest(node=asked.name, undo=asked.body.undo)
        await self.calls.drain_node(request)
        return Answer(Nothing())


def check_id(text: str) -> str:
    """A full node id, ``go.micro.server.worker-2``; otherwise `InvalidInput`."""
    if _ID.fullmatch(text) is None:
        raise InvalidInput(f"id: 1 to 128 letters, digits and _.- (got {text[:140]!r})", field="id")
    return text


def _node(view: control.NodeView) -> Node:
    return Node(
        id=view.id,
        service=view.service,
        address=view.address,
        leader=view.leader,
        active=view.active,
        resources=view.resources,
        drained=view.drained,
        native=view.native,
        uptime_s=view.uptime_s,
        version=view.version,
        unsigned=view.unsigned,
        trouble=view.trouble,
        proxy=_proxy(view.proxy) if view.HasField("proxy") else None,
    )


def _proxy(view: control.ProxyView) -> ProxyFigures:
    return ProxyFigures(
        hits=view.hits, misses=view.misses, revalidated=view.revalidated, stale=view.stale
    )
