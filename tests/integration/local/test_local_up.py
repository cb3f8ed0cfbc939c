"""`crawler up` keeps a cluster alive, alone on its data, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from crawler.clock import SystemClock
from crawler.local.cluster import LocalCluster, Member, Plan
from crawler.local.ports import PortBook
from crawler.local.process import Kept
from crawler.local.up import greeting
from tests.processes import GONE, state_of


class Up:
    """One `crawler up` with its output in a file."""

    def __init__(self, data: Path, port: int, *options: str) -> None:
        self.data, self.port = data, port
        self.output = data.with_suffix(".out")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "crawler",
                    "up",
                    "--masters=1",
                    "--workers=1",
                    f"--data={data}",
                    f"--http=:{port}",
                    "--ttl=3",
                    "--processes=1",
                    *options,
                ],
                stdout=output,
                stderr=output,
            )

    def text(self) -> str:
        return self.output.read_text()

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def child(self, role: str) -> int:
        """The pid of the process whose command line holds ``role``; 0 if there is none."""
        for pid in self.children():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if role.encode() in words or words[0].endswith(role.encode()):
                return pid
        return 0

    def replaced(self, role: str, victim: int) -> bool:
        return self.child(role) not in (0, victim)


def eventually(probe: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 45.0
    while not probe():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@contextmanager
def started(data: Path, port: int) -> Iterator[Up]:
    up = Up(data, port)
    try:
        eventually(
            lambda: "Ctrl-C" in up.text() or up.process.poll() is not None, f"a start: {up.text()}"
        )
        assert up.process.poll() is None, up.text()
        yield up
    finally:
        up.process.kill()
        up.process.wait()


def nodes(port: int) -> set[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/crawler/node", timeout=5) as answer:
        return {node["id"] for node in json.load(answer)["nodes"]}


@pytest.mark.threat(27)
def test_it_lives_alone_mends_itself_and_goes_cleanly(tmp_path: Path) -> None:
    data = tmp_path / "up"
    port = PortBook(tmp_path / "port").take("api")
    with started(data, port) as up:
        second = subprocess.run(
            [sys.executable, "-m", "crawler", "up", f"--data={data}"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert second.returncode == 5
        assert f"{data} is in use by pid {up.process.pid} (crawler up)" in second.stderr
        for role in ("worker", "etcd"):
            victim = up.child(role)
            os.kill(victim, signal.SIGKILL)
            eventually(partial(up.replaced, role, victim), f"a new {role}")
        eventually(lambda: len(up.children()) == 3, "all three again")
        pids = up.children()
        # The worst that can happen to it: nobody may be left behind.
        up.process.kill()
        up.process.wait()
        eventually(lambda: all(state_of(pid) == GONE for pid in pids), "the end of all")
    with started(data, port) as up:
        wanted = {"go.micro.server.master-1", "go.micro.server.worker-1"}
        eventually(lambda: nodes(port) == wanted, "both nodes")
        pids = up.children()
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(20) == 0
        assert all(state_of(pid) == GONE for pid in pids)
        assert "stopped; the data is in" in up.text()
        assert "killed" not in up.text().rpartition("stopping")[2], "all stopped in time"
    written = [data, *data.rglob("*")]
    assert {"etcd.log", "crawler.db", "ports.json", "lock", "wal"} <= {
        each.name for each in written
    }
    assert [each for each in written if each.stat().st_mode & 0o077] == [], "others may look"


def test_it_says_that_nothing_is_crawled_without_workers(tmp_path: Path) -> None:
    plan = Plan(data=tmp_path, masters=1, workers=0)
    told = greeting(LocalCluster(plan, None, ["http://127.0.0.1:2379"], SystemClock()))
    assert "up: 1 master, 0 workers\n" in told
    assert "No worker runs, so nothing is crawled until one joins:\n  crawler worker --id=1" in told


class Hurried(SystemClock):
    """Fifty times as fast."""

    def elapsed(self) -> float:
        return 50 * super().elapsed()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 50)


async def test_it_says_anew_what_it_waits_for_once_that_changes(tmp_path: Path) -> None:
    """At first a slow node says nothing, and then what it lacks itself."""
    clock, said = Hurried(), list[str]()
    cluster = LocalCluster(Plan(data=tmp_path, masters=1, workers=0), None, ["http://e:1"], clock)

    async def ready(_: web.Request) -> web.Response:
        said[:] = [each["why"] for each in logged if each["event"] == "waiting"]
        check = {"ok": len(said) == 2, "words": "not reached"}
        return web.json_response({"checks": {"etcd": check}} if said else {})

    app = web.Application()
    app.router.add_get("/readyz", ready)
    async with TestServer(app) as server:
        sleeper = Kept("master-1", ["sleep", "60"], tmp_path / "log", clock)
        cluster.masters = [Member("1", sleeper, f"http://127.0.0.1:{server.port}")]
        with capture_logs() as logged:
            try:
                await cluster.start()
            finally:
                await cluster.stop()
    assert said == ["it does not answer yet", "etcd: not reached"]


def test_it_says_what_it_waits_for(tmp_path: Path) -> None:
    """An etcd that does not answer, for example: the user named it, so the user can see to it."""
    book = PortBook(tmp_path / "ports")
    nobody = f"--etcd=http://127.0.0.1:{book.take('nobody')}"
    up = Up(tmp_path / "up", book.take("api"), nobody)
    try:
        eventually(lambda: "no master leads" in up.text(), f"a word: {up.text()}")
        assert "etcd: " in up.text()
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(20) == 0
    finally:
        up.process.kill()
        up.process.wait()
