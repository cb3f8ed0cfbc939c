"""Sessions on a real etcd: alive as long as promised, lost no later than etcd says so."""

from __future__ import annotations

import asyncio
import time

import pytest

from crawler.clock import SystemClock
from crawler.coordination.etcd import Etcd, EtcdSettings, put
from crawler.coordination.session import Session, open_session
from crawler.errors import SessionLost
from tests.etcd_server import EtcdServer


class JumpingClock(SystemClock):
    """The machine's clock as a process sees it that was paused, or whose wall clock was set."""

    paused_s = 0.0
    wall_s = 0.0

    def elapsed(self) -> float:
        return super().elapsed() + self.paused_s

    def wall(self) -> float:
        return super().wall() + self.wall_s


async def lost_after(session: Session, limit_s: float = 20.0) -> float:
    """Seconds until `run` says that the session is lost."""
    started = time.monotonic()
    with pytest.raises(SessionLost):
        await asyncio.wait_for(session.run(), limit_s)
    return time.monotonic() - started


async def test_a_session_lives_while_it_runs_and_ends_at_its_exit(client: Etcd) -> None:
    async with open_session(client, 2, SystemClock()) as session:
        await client.txn([], [put("/mine", b"", session.lease)])
        running = asyncio.create_task(session.run())
        least = 2.0
        for _ in range(40):
            await asyncio.sleep(0.1)
            least = min(least, session.remaining())
        running.cancel()
        assert await client.get("/mine") is not None
        # A third of the time to live between rounds leaves two thirds.
        assert least > 0.8
    assert await client.get("/mine") is None


async def test_a_lease_that_etcd_ended_is_lost(client: Etcd) -> None:
    async with open_session(client, 3, SystemClock()) as session:
        await client.revoke(session.lease)
        assert await lost_after(session) < 1.5
        assert session.remaining() == 0.0


async def test_without_etcd_a_session_ends_at_its_deadline(client: Etcd, etcd: EtcdServer) -> None:
    async with open_session(client, 3, SystemClock()) as session:
        running = asyncio.create_task(lost_after(session))
        await asyncio.sleep(0.2)
        etcd.pause()
        assert 2.0 < await running < 3.3
        etcd.resume()


async def test_a_short_outage_costs_nothing(client: Etcd, etcd: EtcdServer) -> None:
    async with open_session(client, 6, SystemClock()) as session:
        await client.txn([], [put("/mine", b"", session.lease)])
        running = asyncio.create_task(session.run())
        await asyncio.to_thread(etcd.kill)
        await asyncio.sleep(2.0)
        await asyncio.to_thread(etcd.start)
        await asyncio.sleep(1.5)
        assert session.remaining() > 3.0
        assert not running.done()
        running.cancel()
        assert await client.get("/mine") is not None


async def test_a_session_survives_a_change_of_etcds_leader(trio: EtcdServer) -> None:
    client = Etcd(EtcdSettings(trio.endpoints), SystemClock())
    async with open_session(client, 5, SystemClock()) as session:
        running = asyncio.create_task(session.run())
        trio.kill(trio.leader())
        await asyncio.sleep(4.0)
        assert not running.done()
        assert session.remaining() > 2.0
        running.cancel()
    await client.close()


async def test_a_paused_process_learns_of_the_loss_before_anything_else(client: Etcd) -> None:
    clock = JumpingClock()
    async with open_session(client, 10, clock) as session:
        assert session.remaining() > 9.0
        clock.paused_s = 10.5
        assert session.remaining() == 0.0
        # The lease still lives, and an answer may still arrive: what was lost stays lost.
        assert await client.keep_alive_once(session.lease) == 10
        assert await lost_after(session) < 0.1
        clock.paused_s = 0.0
        assert session.remaining() == 0.0


async def test_a_pause_during_a_keepalive_counts_from_its_sending(
    client: Etcd, etcd: EtcdServer
) -> None:
    clock = JumpingClock()
    async with open_session(client, 3, clock) as session:
        running = asyncio.create_task(lost_after(session))
        etcd.pause()
        await asyncio.sleep(1.3)  # a keepalive is under way
        clock.paused_s = 3.0
        etcd.resume()
        assert await running < 3.0


async def test_steps_of_the_wall_clock_mean_nothing(client: Etcd) -> None:
    clock = JumpingClock()
    async with open_session(client, 2, clock) as session:
        running = asyncio.create_task(session.run())
        for step in (3600.0, -3600.0):
            clock.wall_s = step
            await asyncio.sleep(0.8)
            assert not running.done()
            assert session.remaining() > 0.5
        running.cancel()


async def test_an_etcd_that_went_back_ends_the_session(client: Etcd, etcd: EtcdServer) -> None:
    for n in range(5):
        await client.txn([], [put("/a", b"%d" % n)])
    async with open_session(client, 10, SystemClock()) as session:
        etcd.kill()
        etcd.wipe()
        await asyncio.to_thread(etcd.start)
        await client.get("/a")
        started = time.monotonic()
        with pytest.raises(SessionLost, match="back in time"):
            await session.run()
        assert time.monotonic() - started < 1.0
