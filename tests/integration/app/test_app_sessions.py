"""Sessions follow one another through whatever etcd does."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest
from structlog.testing import capture_logs

from crawler.app.node import etcd_settings, warn_of_login
from crawler.app.sessions import in_sessions
from crawler.clock import SystemClock
from crawler.config import master_config
from crawler.coordination.catalog import Catalog
from crawler.coordination.etcd import Etcd, EtcdSettings, put
from crawler.coordination.session import Session
from crawler.coordination.versions import keeps_strangers_out, read_version
from crawler.errors import Exhausted, Misconfigured
from tests.etcd_server import EtcdServer

TTL_S = 2


async def fill(etcd: Etcd) -> None:
    for number in range(400):
        await etcd.txn((), (put(f"/x/{number % 5}", b"z" * 50_000),))


async def test_an_etcd_without_space_is_waited_for() -> None:
    """Grants fail then; a process must not end because of that, nor be taken for one that hangs."""
    with EtcdServer(extra=("--quota-backend-bytes=2000000",)) as server:
        clock = SystemClock()
        etcd = Etcd(EtcdSettings(tuple(server.endpoints)), clock)
        began: asyncio.Queue[int] = asyncio.Queue()

        async def work(session: Session) -> NoReturn:
            began.put_nowait(session.lease)
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        catalog = Catalog(etcd, clock)
        beats: list[float] = []
        life = asyncio.create_task(
            in_sessions(
                etcd, TTL_S, clock, catalog, "s", work, lambda: beats.append(clock.elapsed())
            )
        )
        try:
            first = await began.get()
            with pytest.raises(Exhausted):
                await fill(etcd)
            await etcd.revoke(first)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(began.get(), 2 * TTL_S)
            assert not life.done()
            assert clock.elapsed() - beats[-1] < 2 * TTL_S  # at most 2 s lie between two tries
            etcd_is = server.ctl("endpoint", "status", "-w", "fields")
            revision = next(line for line in etcd_is.splitlines() if line.startswith('"Revision"'))
            server.ctl("compact", revision.split()[-1])
            server.ctl("defrag")
            server.ctl("alarm", "disarm")
            assert await asyncio.wait_for(began.get(), 5 * TTL_S) != first
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            await etcd.close()


async def test_what_a_user_must_mend_ends_it(etcd: EtcdServer) -> None:
    clock = SystemClock()
    client = Etcd(EtcdSettings(tuple(etcd.endpoints)), clock)

    async def work(_: Session) -> NoReturn:
        raise Misconfigured("not like this")

    try:
        with pytest.raises(Misconfigured, match="not like this"):
            await in_sessions(client, TTL_S, clock, Catalog(client, clock), "s", work)
    finally:
        await client.close()


@pytest.mark.threat(3)
async def test_a_login_that_protects_nothing_is_warned_of(etcd: EtcdServer) -> None:
    """Users and roles of older releases are passed by; etcd says which release it is."""
    etcd.enable_auth("crawler", "secret")
    flags = {"etcd": etcd.endpoints[0]}
    environ = {"CRAWLER_ETCD_PASSWORD": "secret"}
    config = master_config({**flags, "etcd_user": "crawler"}, environ)
    client = Etcd(etcd_settings(config), SystemClock())
    try:
        version = read_version((await client.status()).version)
        assert version is not None
        with capture_logs() as said:
            await warn_of_login(client, config)
            await warn_of_login(client, master_config(flags, {}))
        warned = [each for each in said if "keep nobody out" in each["event"]]
        assert len(warned) == (not keeps_strangers_out(version))
    finally:
        await client.close()
