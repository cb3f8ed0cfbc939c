"""Asks etcd, member by member and as a whole, and what the cluster keeps in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from crawler.clock import Clock
from crawler.coordination import keys
from crawler.coordination.checkup import Checkup, Member, MemberStatus
from crawler.coordination.election import leader_of
from crawler.coordination.endpoints import read_target
from crawler.coordination.etcd import Etcd, EtcdSettings
from crawler.coordination.records import decode_cluster
from crawler.coordination.registry import parse_node
from crawler.errors import CrawlerError, Misconfigured
from crawler.model import MASTER_SERVICE
from crawler.ops import members
from crawler.ops.clocks import judge_clock
from crawler.ops.door import ask_door
from crawler.ops.findings import Finding, failure
from crawler.ops.roll import Candidate, judge_election, judge_registry

_WRITES = 3  # the fastest counts: a single one may have met a busy moment
_LOGIN = "set --etcd-user and CRAWLER_ETCD_PASSWORD to a login that it knows"
_ADVICE = "see the findings on its members; look again once they are mended"


@dataclass(frozen=True, slots=True)
class Etcds:
    """What was found, and the id of the store that the cluster names (None: none, or unknown);
    ``read`` tells whether it could be read at all."""

    findings: tuple[Finding, ...]
    store_id: str | None = None
    read: bool = False


@asynccontextmanager
async def _checkup(settings: EtcdSettings, url: str, clock: Clock) -> AsyncIterator[Checkup]:
    checkup = Checkup(settings, url, clock)
    try:
        yield checkup
    finally:
        await checkup.close()


async def _ask_status(
    settings: EtcdSettings, url: str, clock: Clock
) -> MemberStatus | CrawlerError:
    async with _checkup(settings, url, clock) as checkup:
        try:
            return await checkup.status()
        except CrawlerError as error:
            return error


def _reason(error: CrawlerError) -> str:
    """What the last attempt met: that there were several matters to nobody here."""
    last = error.__cause__ if isinstance(error.__cause__, CrawlerError) else error
    return str(last).removeprefix("etcd: ")


def _refused(subject: str, error: CrawlerError, said: str = "") -> Finding:
    """A question that was not answered, although the member is there."""
    advice = _LOGIN if isinstance(error, Misconfigured) else _ADVICE
    return failure(subject, said + _reason(error), advice)


async def ask_etcd(settings: EtcdSettings, prefix: str, ttl_s: float, clock: Clock) -> Etcds:
    """All that can be learnt, within four times ``settings.call_timeout_s``."""
    asked = [_ask_status(settings, url, clock) for url in settings.endpoints]
    said = dict(zip(settings.endpoints, await asyncio.gather(*asked), strict=True))
    there = [each for each in said.values() if isinstance(each, MemberStatus)]
    failed = {url: each for url, each in said.items() if isinstance(each, CrawlerError)}
    lost = {url: _reason(e) for url, e in failed.items() if not isinstance(e, Misconfigured)}
    found = members.judge_unreached(lost, lost.values(), any_answers=bool(there))
    found += [_refused(f"etcd {url}", failed[url]) for url in failed if url not in lost]
    if not there:
        return Etcds(tuple(found))
    found += [each for status in there for each in members.judge_member(status)]
    found += members.judge_agreement(there)
    doors = [_ask_door(settings, status, clock) for status in there]
    found += [each for some in await asyncio.gather(*doors) for each in some]
    if not any(each.leader for each in there):
        return Etcds(tuple(found))
    first = next(each for each in there if each.leader)
    # A silent member must neither take the time of the others nor seem to be their slowness.
    awake = replace(settings, endpoints=tuple(each.url for each in there if each.leader))
    async with _checkup(awake, first.url, clock) as checkup:
        whole, kept = await asyncio.gather(
            _ask_whole(awake, checkup, there, failed, clock, ttl_s),
            _ask_kept(awake, checkup, prefix, clock),
        )
    return Etcds((*found, *whole, *kept.findings), kept.store_id, kept.read)


async def _ask_door(settings: EtcdSettings, status: MemberStatus, clock: Clock) -> list[Finding]:
    told = await ask_door(settings, status.url, clock, settings.call_timeout_s)
    found = [members.judge_space(status, status.quota_bytes or told.quota_bytes)]
    if told.ahead_s is not None:
        found.append(judge_clock(f"etcd {status.url}", told.ahead_s, told.doubt_s))
    return found


async def _ask_whole(
    settings: EtcdSettings,
    checkup: Checkup,
    there: Sequence[MemberStatus],
    lost: Collection[str],
    clock: Clock,
    ttl_s: float,
) -> list[Finding]:
    """Its members, its past, and how long a write takes."""
    found: list[Finding] = []
    try:
        known = await checkup.members()
        others = await _ask_others(settings, known, there, lost, clock)
        found += [each for status in others for each in members.judge_member(status)]
        told = {each.id for each in known if _is_named(settings, each, lost)}
        heard = {each.member for each in (*there, *others)}
        found += members.judge_members(known, heard | told)
        newest = max(each.revision for each in there)
        found.append(members.judge_history(await checkup.oldest_revision(), newest))
    except CrawlerError as error:
        found.append(_refused("etcd", error))
    return [*found, await _time_writes(settings, clock, ttl_s)]


async def _ask_others(
    settings: EtcdSettings,
    known: Sequence[Member],
    there: Sequence[MemberStatus],
    lost: Collection[str],
    clock: Clock,
) -> list[MemberStatus]:
    """Members that ``--etcd`` does not name, at the first address that each advertises."""
    answered = {each.member for each in there}
    urls = [
        each.urls[0]
        for each in known
        if each.urls and each.id not in answered and not _is_named(settings, each, lost)
    ]
    said = await asyncio.gather(*(_ask_status(settings, url, clock) for url in urls))
    return [each for each in said if isinstance(each, MemberStatus)]


def _is_named(settings: EtcdSettings, member: Member, lost: Collection[str]) -> bool:
    """Whether the member is one of the endpoints that did not answer, of which is told already."""
    tls = settings.ca_file is not None
    places = {read_target(url, tls=tls).address for url in lost}
    return any(read_target(url, tls=tls).address in places for url in member.urls)


async def _time_writes(settings: EtcdSettings, clock: Clock, ttl_s: float) -> Finding:
    """A lease is a write that a quorum agrees to and that leaves nothing behind."""
    etcd, took = Etcd(settings, clock), []
    try:
        for _ in range(_WRITES):
            began = clock.elapsed()
            lease = await etcd.grant(5)
            took.append(clock.elapsed() - began)
            await etcd.revoke(lease)
            if took[-1] > settings.call_timeout_s / _WRITES:
                break
    except CrawlerError as error:
        return _refused("etcd", error, "it takes no write: ")
    finally:
        await etcd.close()
    return members.judge_write(min(took), ttl_s)


async def _ask_kept(settings: EtcdSettings, checkup: Checkup, prefix: str, clock: Clock) -> Etcds:
    """The election, the registry, and which store they belong to."""
    etcd = Etcd(settings, clock)
    try:
        below = f"{prefix.rstrip('/')}/"
        snapshot = await etcd.span((below, keys.NODES, keys.LOADS, keys.CLUSTER_KEY))
        standing = [kv for kv in snapshot.kvs if kv.key.startswith(below)]
        standing.sort(key=lambda kv: kv.create_revision)
        lefts = await asyncio.gather(
            *(checkup.lease_left_s(kv.lease) for kv in standing if kv.lease)
        )
    except CrawlerError as error:
        return Etcds((_refused("election", error, "cannot be read: "),))
    finally:
        await etcd.close()
    left = dict(zip((kv.key for kv in standing if kv.lease), lefts, strict=True))
    leaders = [leader for kv in standing if (leader := leader_of([kv])) is not None]
    candidates = [Candidate(each, left.get(each.key)) for each in leaders]
    records = [kv for kv in snapshot.kvs if kv.key.startswith(keys.NODES)]
    nodes = [node for kv in records if (node := parse_node(kv)) is not None]
    masters = {each.address for each in nodes if each.service == MASTER_SERVICE}
    loads = {
        kv.key.removeprefix(keys.LOADS) for kv in snapshot.kvs if kv.key.startswith(keys.LOADS)
    }
    told = [decode_cluster(kv) for kv in snapshot.kvs if kv.key == keys.CLUSTER_KEY]
    cluster = told[0] if told else None
    found = [*judge_election(candidates, masters), *judge_registry(nodes, loads, clock.wall())]
    return Etcds(tuple(found), cluster.store if cluster else None, read=True)
