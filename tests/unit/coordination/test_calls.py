"""Calls against scripted members: what is repeated, where, and how often a login happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import StatusCode, aio

from crawler.coordination.etcd import Etcd, EtcdSettings, absent, fetch, put
from crawler.coordination.pb import etcd_pb2 as pb
from crawler.coordination.pb import etcd_pb2_grpc as stubs
from crawler.errors import EtcdUnavailable, Hindered, OutcomeUnknown
from tests.fakes.clock import SleepClock

TIMEOUT_S = 10.0

Failure = tuple[StatusCode, str]

NO_LEADER = (StatusCode.UNAVAILABLE, "etcdserver: no leader")
TIMED_OUT = (StatusCode.UNAVAILABLE, "etcdserver: request timed out")
FULL = (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")
BAD_TOKEN = (StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token")


class Member(stubs.KVServicer, stubs.AuthServicer):
    """Fails as often as told, then answers. With a ``token`` it wants that one."""

    def __init__(self, *failures: Failure) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.logins = 0
        self.token = ""
        self.url = ""

    async def _admit(self, context: Any) -> pb.ResponseHeader:
        self.calls += 1
        metadata = dict(context.invocation_metadata())
        assert metadata["hasleader"] == "true"
        if self.token and metadata.get("token") != self.token:
            await context.abort(*BAD_TOKEN)
        if self.failures:
            await context.abort(*self.failures.pop(0))
        return pb.ResponseHeader(revision=7, raft_term=2)

    async def Range(self, request: pb.RangeRequest, context: Any) -> pb.RangeResponse:  # noqa: N802
        return pb.RangeResponse(header=await self._admit(context))

    async def Txn(self, request: pb.TxnRequest, context: Any) -> pb.TxnResponse:  # noqa: N802
        return pb.TxnResponse(header=await self._admit(context), succeeded=True)

    async def Compact(  # noqa: N802
        self, request: pb.CompactionRequest, context: Any
    ) -> pb.CompactionResponse:
        raise NotImplementedError

    async def Authenticate(  # noqa: N802
        self, request: pb.AuthenticateRequest, context: Any
    ) -> pb.AuthenticateResponse:
        self.logins += 1
        return pb.AuthenticateResponse(token=self.token)


@asynccontextmanager
async def cluster(
    *members: Member, clock: SleepClock | None = None, **settings: Any
) -> AsyncIterator[Etcd]:
    servers = []
    for member in members:
        server = aio.server()
        stubs.add_KVServicer_to_server(member, server)
        stubs.add_AuthServicer_to_server(member, server)
        member.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        servers.append(server)
    urls = tuple(member.url for member in members)
    client = Etcd(EtcdSettings(urls, call_timeout_s=TIMEOUT_S, **settings), clock or SleepClock())
    try:
        yield client
    finally:
        await client.close()
        for server in servers:
            await server.stop(None)


async def test_a_write_is_sent_once_when_its_answer_is_lost() -> None:
    members = (Member(TIMED_OUT), Member(TIMED_OUT))
    async with cluster(*members) as client:
        with pytest.raises(OutcomeUnknown):
            await client.txn([absent("/a")], [put("/a", b"")])
        assert sum(member.calls for member in members) == 1


async def test_a_write_that_was_refused_without_effect_goes_elsewhere() -> None:
    members = (Member(NO_LEADER), Member(NO_LEADER), Member())
    async with cluster(*members) as client:
        assert (await client.txn([], [put("/a", b"")])).succeeded


async def test_reads_are_repeated_whatever_happened() -> None:
    async with cluster(Member(TIMED_OUT, TIMED_OUT, NO_LEADER)) as client:
        assert await client.get("/a") is None
    async with cluster(Member(TIMED_OUT)) as client:
        assert (await client.txn([], [fetch("/a")])).succeeded


async def test_a_cluster_without_a_leader_is_unavailable_in_time() -> None:
    clock = SleepClock()
    async with cluster(Member(*[NO_LEADER] * 1_000), clock=clock) as client:
        with pytest.raises(EtcdUnavailable, match="no leader"):
            await client.txn([], [put("/a", b"")])
    assert TIMEOUT_S - 1.0 < clock.elapsed() < TIMEOUT_S


async def test_many_calls_with_a_stale_token_log_in_once() -> None:
    member = Member()
    member.token = "first"
    async with cluster(member, username="u", password="p") as client:
        await asyncio.gather(*(client.get("/a") for _ in range(10)))
        assert member.logins == 1
        member.token = "second"
        await asyncio.gather(*(client.txn([], [put("/a", b"")]) for _ in range(10)))
        assert member.logins == 2


async def test_a_token_that_is_never_accepted_is_reported() -> None:
    member = Member(*[BAD_TOKEN] * 1_000)
    member.token = "token"
    async with cluster(member, username="u", password="p") as client:
        with pytest.raises(Hindered, match="user and password"):
            await client.get("/a")
        assert member.logins > 1


async def test_a_guarded_write_is_repeated_when_its_answer_is_lost() -> None:
    members = (Member(TIMED_OUT), Member(TIMED_OUT))
    async with cluster(*members) as client:
        result = await client.txn([absent("/a")], [put("/a", b"")], guarded=True)
        assert result.succeeded
        assert sum(member.calls for member in members) == 3


@pytest.mark.parametrize("after", [NO_LEADER, FULL])
async def test_a_lost_answer_stays_unknown_whatever_follows(after: Failure) -> None:
    async with cluster(Member(TIMED_OUT, *[after] * 1_000)) as client:
        with pytest.raises(OutcomeUnknown):
            await client.txn([absent("/a")], [put("/a", b"")], guarded=True)
