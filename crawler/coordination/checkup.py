"""One member of etcd at a time, as it says itself: for whoever looks for what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

from crawler.clock import Clock
from crawler.coordination.calls import Calls, Metadata, Repeat
from crawler.coordination.endpoints import Endpoint, EtcdSettings
from crawler.coordination.pb import etcd_pb2 as pb
from crawler.errors import Compacted, EtcdUnavailable


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """How a member is. ``leader`` 0: it sees none. ``quota_bytes`` 0: it does not say (before
    3.6). ``complaints`` are etcd's words, alarms among them."""

    url: str
    member: int
    cluster: int
    version: str
    leader: int
    term: int
    revision: int
    db_bytes: int
    used_bytes: int
    quota_bytes: int
    complaints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the cluster knows it; without a name it never came."""

    id: int
    name: str
    urls: tuple[str, ...]


class Checkup:
    """Questions to one endpoint. Each ends within ``settings.call_timeout_s``; raises as
    `crawler.coordination.etcd.Etcd` does. Build it inside the running event loop."""

    def __init__(self, settings: EtcdSettings, url: str, clock: Clock) -> None:
        self._calls = Calls(replace(settings, endpoints=(url,)), clock)

    async def close(self) -> None:
        """Free the channel."""
        await self._calls.close()

    async def status(self) -> MemberStatus:
        """Its own state, also while it sees no leader."""

        async def send(at: Endpoint, metadata: Metadata, timeout_s: float) -> MemberStatus:
            token = tuple(pair for pair in metadata if pair[0] == "token")
            said = await at.maintenance.Status(
                pb.StatusRequest(), metadata=token, timeout=timeout_s
            )
            return _status(at.url, said)

        return await self._calls.call(send, Repeat.FREELY)

    async def members(self) -> tuple[Member, ...]:
        """All members of its cluster."""

        async def send(at: Endpoint, metadata: Metadata, timeout_s: float) -> pb.MemberListResponse:
            request = pb.MemberListRequest()
            return await at.cluster.MemberList(request, metadata=metadata, timeout=timeout_s)

        said = await self._calls.call(send, Repeat.FREELY)
        return tuple(Member(each.ID, each.name, tuple(each.clientURLs)) for each in said.members)

    async def lease_left_s(self, lease: int) -> int:
        """Seconds that a lease lives on unless it is renewed; -1: it is gone."""

        async def send(
            at: Endpoint, metadata: Metadata, timeout_s: float
        ) -> pb.LeaseTimeToLiveResponse:
            request = pb.LeaseTimeToLiveRequest(ID=lease)
            return await at.lease.LeaseTimeToLive(request, metadata=metadata, timeout=timeout_s)

        return (await self._calls.call(send, Repeat.FREELY)).TTL

    async def oldest_revision(self) -> int:
        """The oldest revision that can still be read: 1 where nothing was ever compacted."""

        async def send(at: Endpoint, metadata: Metadata, timeout_s: float) -> pb.RangeResponse:
            request = pb.RangeRequest(key=b"\0", revision=1)
            return await at.kv.Range(request, metadata=metadata, timeout=timeout_s)

        try:
            await self._calls.call(send, Repeat.FREELY)
        except Compacted:
            return await self._calls.call(_read_compacted, Repeat.FREELY)
        return 1


async def _read_compacted(at: Endpoint, metadata: Metadata, timeout_s: float) -> int:
    """A watch from a compacted revision is refused with the oldest one that there is."""
    stream = at.watch.Watch(None, metadata=metadata, timeout=timeout_s)
    try:
        create = pb.WatchCreateRequest(key=b"\0", start_revision=1)
        await stream.write(pb.WatchRequest(create_request=create))
        while isinstance(said := await stream.read(), pb.WatchResponse):
            if said.compact_revision:
                return said.compact_revision
    finally:
        stream.cancel()
    raise EtcdUnavailable(f"etcd: {at.url} closed the watch")


def _status(url: str, said: pb.StatusResponse) -> MemberStatus:
    return MemberStatus(
        url,
        said.header.member_id,
        said.header.cluster_id,
        said.version,
        said.leader,
        said.raftTerm,
        said.header.revision,
        said.dbSize,
        said.dbSizeInUse,
        said.dbSizeQuota,
        tuple(said.errors),
    )
