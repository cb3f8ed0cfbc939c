"""What the service manager hears of a node, at a socket like that of systemd."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crawler.app.watchdog import Watchdog, watched
from crawler.clock import SystemClock
from crawler.config import Supervision, read_supervision
from crawler.errors import Misconfigured
from crawler.telemetry.notify import Notifier
from tests.fakes.clock import SleepClock

TTL_S = 10
LIMIT_S = 5.0


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """As it stands in NOTIFY_SOCKET."""
    return str(tmp_path / "notify") if request.param == "path" else f"@crawler-{os.getpid()}"


@pytest.fixture
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address.replace("@", "\0"))
        listening.settimeout(LIMIT_S)
        yield listening


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().splitlines()


async def test_signs_of_life_need_a_session_that_is_cared_for(
    manager: socket.socket, address: str
) -> None:
    clock = SleepClock()
    dog = Watchdog(Notifier(address), TTL_S, clock)
    dog.look()  # the store may be away for long, or migrate
    assert heard(manager) == ["EXTEND_TIMEOUT_USEC=300000000", "STATUS=starting"]
    dog.beat()
    dog.ready(lambda: "crawls 2,\npages in work 5")
    assert heard(manager) == ["READY=1", "STATUS=crawls 2, pages in work 5"]
    dog.ready(lambda: "in the next session")
    dog.look()
    assert heard(manager) == ["WATCHDOG=1", "STATUS=in the next session"]
    await clock.sleep(2 * TTL_S)
    dog.look()
    assert heard(manager)[0] == "WATCHDOG=1"
    await clock.sleep(TTL_S)
    with capture_logs() as said:
        dog.look()
        dog.look()
    assert [each["log_level"] for each in said] == ["error"]
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        heard(manager)
    dog.beat()
    dog.look()
    assert heard(manager)[0] == "WATCHDOG=1"


async def test_a_node_is_watched_until_its_end(
    manager: socket.socket, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    stop = asyncio.Event()
    manager.setblocking(False)
    loop = asyncio.get_running_loop()

    async def until(word: str) -> None:
        async with asyncio.timeout(LIMIT_S):
            while word not in (await loop.sock_recv(manager, 4096)).decode():
                pass

    async with watched(stop, TTL_S, SystemClock()) as dog:
        await until("EXTEND_TIMEOUT_USEC")
        dog.ready(lambda: "fine")
        for word in ("READY=1", "WATCHDOG=1", "WATCHDOG=1"):
            await until(word)
        stop.set()
        for word in ("STOPPING=1", "WATCHDOG=1"):
            await until(word)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others


async def test_a_start_that_fails_at_once_leaves_nothing_behind(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with pytest.raises(Misconfigured):  # and no warning of what was never awaited
        async with watched(asyncio.Event(), TTL_S, SystemClock()):
            raise Misconfigured("wrong settings")


async def test_without_a_manager_nothing_is_sent(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    async with watched(asyncio.Event(), TTL_S, SystemClock()) as dog:
        dog.beat()
        dog.ready(lambda: "fine")
        dog.look()
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        heard(manager)


def test_a_manager_that_is_gone_is_mentioned_once(address: str) -> None:
    notifier = Notifier(address)
    with capture_logs() as said:
        notifier.tell("READY=1")
        notifier.tell("WATCHDOG=1")
    assert [each["event"] for each in said] == ["the service manager does not hear us"]


@pytest.mark.parametrize(
    ("environ", "read"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "1"}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, None),
        ({"NOTIFY_SOCKET": "/run/n"}, Supervision("/run/n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "30000000"}, Supervision("@n", 30.0)),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "0"}, Supervision("@n")),
        (
            {"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"},
            Supervision("@n"),
        ),
    ],
)
def test_what_a_manager_says_of_itself(environ: dict[str, str], read: Supervision | None) -> None:
    assert read_supervision(environ) == read
