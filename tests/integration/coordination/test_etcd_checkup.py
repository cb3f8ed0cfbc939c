"""Members asked one by one, of a real etcd."""

from __future__ import annotations

import asyncio

import pytest

from crawler.clock import SystemClock
from crawler.coordination.checkup import Checkup
from crawler.coordination.etcd import Etcd, EtcdSettings, put
from crawler.errors import EtcdUnavailable
from tests.etcd_server import EtcdServer


async def test_a_member_tells_its_state(etcd: EtcdServer, client: Etcd) -> None:
    checkup = Checkup(EtcdSettings(etcd.endpoints), etcd.endpoints[0], SystemClock())
    try:
        status = await checkup.status()
        assert status.leader == status.member != 0
        assert status.db_bytes >= status.used_bytes > 0
        assert status.complaints == ()
        (member,) = await checkup.members()
        assert (member.id, member.name, member.urls) == (status.member, "m0", etcd.endpoints)
        lease = await client.grant(30)
        assert 25 <= await checkup.lease_left_s(lease) <= 30
        await client.revoke(lease)
        assert await checkup.lease_left_s(lease) == -1
    finally:
        await checkup.close()


async def test_the_oldest_revision_is_where_it_was_compacted(
    etcd: EtcdServer, client: Etcd
) -> None:
    checkup = Checkup(EtcdSettings(etcd.endpoints), etcd.endpoints[0], SystemClock())
    try:
        assert await checkup.oldest_revision() == 1
        for number in range(5):
            await client.txn([], [put("/a", str(number).encode())])
        await asyncio.to_thread(etcd.ctl, "compact", "4")
        assert await checkup.oldest_revision() == 4
    finally:
        await checkup.close()


async def test_a_member_that_is_down_is_unavailable(etcd: EtcdServer) -> None:
    settings = EtcdSettings(etcd.endpoints, call_timeout_s=1.0)
    etcd.kill()
    checkup = Checkup(settings, etcd.endpoints[0], SystemClock())
    try:
        with pytest.raises(EtcdUnavailable):
            await checkup.status()
    finally:
        await checkup.close()
