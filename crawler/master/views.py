"""Resources and nodes as the control service shows them. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

from crawler.coordination.catalog import Entry, View, state_of, units_of
from crawler.coordination.election import Leader
from crawler.coordination.entry import state_of_unit
from crawler.coordination.records import Proxied
from crawler.coordination.signing import Seal
from crawler.definition import masked
from crawler.model import Node
from crawler.rpc.pb.control_pb2 import NodeView, PartView, ProxyView, ResourceView


def show_resource(entry: Entry, live: Collection[str], *, definition: bool) -> ResourceView:
    """One resource; ``live`` are the ids of the live workers. It must exist. Credentials in its
    definition are not shown to anybody."""
    resource, wish, decision = entry.resource, entry.wish, entry.decision
    assert resource is not None
    state, reason = state_of(entry, live)
    units = units_of(entry)
    at = resource.assignment
    return ResourceView(
        id=resource.id,
        name=resource.name,
        assigned_node=at.node_id if at is not None else "",
        address=at.address if at is not None else "",
        creation_time=resource.created_ns,
        state=state.value,
        reason=reason,
        run=wish.run if wish is not None else 1,
        revision=resource.revision,
        definition_json=_masked(entry.definition) if definition and entry.definition else "",
        definition_revision=entry.definition_revision,
        decision=decision.reason if decision is not None else "",
        decided_at=decision.at if decision is not None else 0.0,
        owner=entry.owner,
        parts=[_show_part(unit, live) for unit in units] if len(units) > 1 else (),
    )


def _masked(definition: str) -> str:
    """The definition's JSON; "" where somebody else wrote what is none."""
    try:
        read = json.loads(definition)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(read, dict):
        return ""
    return json.dumps(masked(read), ensure_ascii=False, separators=(",", ":"))


def _show_part(unit: Entry, live: Collection[str]) -> PartView:
    resource, decision = unit.resource, unit.decision
    assert resource is not None
    state, reason = state_of_unit(unit, live)
    at = resource.assignment
    return PartView(
        assigned_node=at.node_id if at is not None else "",
        address=at.address if at is not None else "",
        state=state.value,
        reason=reason,
        revision=resource.revision,
        decision=decision.reason if decision is not None else "",
        decided_at=decision.at if decision is not None else 0.0,
    )


def show_nodes(
    view: View,
    leader: Leader | None,
    now: float,
    seal: Seal = Seal(),  # noqa: B008 - frozen
) -> Iterator[NodeView]:
    """Masters, then workers. ``now``: Unix seconds; ``seal``: whose signature counts."""
    for node in (*_by_id(view.masters.values()), *_by_id(view.workers.values())):
        load = view.loads.get(node.id)
        yield NodeView(
            id=node.id,
            service=node.service,
            address=node.address,
            leader=_leads(node, leader),
            active=load.active if load is not None else 0,
            resources=load.resources if load is not None else 0,
            drained=node.id in view.drained,
            native=node.native,
            uptime_s=_uptime(node, now),
            version=node.metadata.get("crawler", ""),
            unsigned=not seal.genuine(node),
            trouble=load.trouble if load is not None else "",
            proxy=_proxy(load.proxy) if load is not None and load.proxy is not None else None,
        )


def _proxy(proxied: Proxied) -> ProxyView:
    return ProxyView(
        hits=proxied.hits,
        misses=proxied.misses,
        revalidated=proxied.revalidated,
        stale=proxied.stale,
    )


def _by_id(nodes: Collection[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: node.id)


def _leads(node: Node, leader: Leader | None) -> bool:
    """The election's value names a master by its short id."""
    if leader is None:
        return False
    return node.id == f"{node.service}-{leader.id}" and node.address == leader.address


def _uptime(node: Node, now: float) -> float:
    """0.0 where the node does not say since when."""
    try:
        return max(0.0, now - float(node.metadata.get("started", "")))
    except ValueError:
        return 0.0
