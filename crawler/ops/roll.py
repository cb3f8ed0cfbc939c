"""What is to be thought of an election and of a registry."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from crawler.coordination.election import Leader
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, Node
from crawler.ops.clocks import FAR_S
from crawler.ops.findings import Finding, failure, fine, warning


@dataclass(frozen=True, slots=True)
class Candidate:
    """One key of the election, oldest first. ``left_s`` is what its lease has to live: -1: it is
    gone, None: the key has none."""

    leader: Leader
    left_s: int | None


def judge_election(candidates: Sequence[Candidate], masters: Collection[str]) -> list[Finding]:
    """Who leads, and who stands without being there; ``masters`` are registered addresses."""
    if not candidates:
        return [failure("election", "nobody leads", "start a master, and see its log")]
    first = candidates[0].leader
    waiting = len(candidates) - 1
    found = [each for one in candidates for each in _judge_candidate(one, one.leader is first)]
    stale = [one for one in candidates if one.leader.address not in masters]
    found += [
        warning(
            "election",
            f"{one.leader.value[:100]!r} ({one.leader.key}) is no registered master",
            "it may have just come or gone; if it stays so, see its log, or delete the key",
        )
        for one in stale
    ]
    if found:
        return found
    return [fine("election", f"{first.value} leads, {waiting} more stand by")]


def _judge_candidate(one: Candidate, leads: bool) -> list[Finding]:
    weigh = failure if leads else warning
    if one.left_s is None:
        said = f"{one.leader.key} has no lease: it stays when its master dies"
        return [weigh("election", said, "delete that key")]
    if one.left_s < 0:
        said = f"the lease of {one.leader.key} is gone"
        return [weigh("election", said, "look again; if it stays so, delete that key")]
    return []


def judge_registry(nodes: Sequence[Node], loads: Collection[str], now: float) -> list[Finding]:
    """Who is there. ``loads`` are ids of those who say how busy they are; ``now`` Unix seconds."""
    masters = [each for each in nodes if each.service == MASTER_SERVICE]
    workers = [each for each in nodes if each.service == WORKER_SERVICE]
    found = [fine("registry", f"{len(masters)} masters, {len(workers)} workers")]
    if not masters:
        found = [failure("registry", "no master is registered", "start `crawler master`")]
    elif len(masters) == 1:
        found = [warning("registry", "one master only", "start a second: it takes over")]
    if not workers:
        advice = "start `crawler worker`: crawls wait for one"
        found.append(warning("registry", "no worker is registered", advice))
    for each in nodes:
        found += _judge_node(each, reports=each.service != WORKER_SERVICE or each.id in loads)
        found += _judge_start(each, now)
    return found + _judge_versions(nodes)


def _judge_node(node: Node, *, reports: bool) -> list[Finding]:
    if not node.native:
        said = "it is not one of ours and knows no fences"
        return [warning(node.id, said, "replace it: the promises hold for our nodes only")]
    if not reports:
        said = "it does not say how busy it is"
        return [warning(node.id, said, "look again after a few seconds; then see its log")]
    return []


def _judge_start(node: Node, now: float) -> list[Finding]:
    """A node that began in the future has a clock that is ahead of ours."""
    try:
        ahead_s = float(node.metadata.get("started", "0")) - now
    except ValueError:
        return []
    if not FAR_S < ahead_s < float("inf"):
        return []
    said = f"by its clock it began {ahead_s:,.0f} s from now"
    return [warning(node.id, said, "run an NTP client on its machine and on this one")]


def _judge_versions(nodes: Sequence[Node]) -> list[Finding]:
    versions = {each.metadata["crawler"] for each in nodes if each.native}
    if len(versions) <= 1:
        return []
    said = f"nodes of several versions: {', '.join(sorted(versions))}"
    return [warning("registry", said, "finish the upgrade")]


def judge_store_id(told: str | None, found: str | None) -> Finding:
    """The store that the cluster belongs to, and the one that was looked at."""
    if told is None or found is None:
        advice = "the first leader ties them together; see that one leads"
        return warning("store", "the cluster is not tied to a store yet", advice)
    if told != found:
        said = f"etcd names the store {told}, this one is {found}"
        return failure("store", said, "give all nodes the same --store, and this command too")
    return fine("store", f"etcd and the store agree on {told}")
