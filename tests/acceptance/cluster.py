"""A real cluster in processes of its own, for tests that kill and pause them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import aiohttp
import psycopg

from crawler.clock import SystemClock
from crawler.coordination.etcd import Etcd, EtcdSettings
from tests.etcd_server import EtcdServer
from tests.lab.place import LOOPBACK, Place
from tests.ports import free_port
from tests.postgres_server import PostgresServer

TTL_S = 3
SITE_S = 60.0  # until Python has begun, on a machine that has other things to do
GRACE_S = TTL_S  # what a shared machine may add to a bound; `make recovery` allows nothing
T = TypeVar("T")


class Process:
    """One process of ours, in a group of its own, with its output in a file."""

    def __init__(self, name: str, arguments: list[str], log: Path, **environment: str) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def kill(self) -> None:
        """kill -9 this process alone."""
        self._popen.kill()
        self._popen.wait()

    def kill_group(self) -> None:
        """kill -9 this process and its children."""
        self.signal_group(signal.SIGKILL)
        self._popen.wait()

    def signal_group(self, number: signal.Signals) -> None:
        if self.running:
            os.killpg(self.pid, number)

    def pause(self) -> None:
        self.signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal_group(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        if self.running:
            self._popen.terminate()

    def stop(self, timeout_s: float = 10.0) -> int:
        """SIGTERM, and the exit code."""
        self.terminate()
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 10.0) -> int:
        """The exit code."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill_group()
            raise

    def children(self) -> list[int]:
        """Pids of its children that run now."""
        try:
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(pid) for pid in text.split()]

    def text(self) -> str:
        return self.log.read_text(errors="replace")


class Site:
    """The bundled shop in its own process, with its own access log."""

    def __init__(self, folder: Path, products: int, place: Place = LOOPBACK) -> None:
        self.products = products
        self.log = folder / "access.jsonl"
        self.port = free_port()
        self._url = f"http://{place.address}:{self.port}"
        self._listens = False
        arguments = [sys.executable, "-m", "crawler.local.site", f"--host={place.address}"]
        arguments += [f"--port={self.port}", f"--log={self.log}", f"--products={products}"]
        self.process = Process("site", place.command(arguments), folder / "site.log")

    @property
    def url(self) -> str:
        """Where it listens, once it does: who asks before is told that nobody is there."""
        deadline = time.monotonic() + SITE_S
        while not self._listens:
            told = self.process.text()
            assert self.process.running, told
            assert time.monotonic() < deadline, f"no site within {SITE_S} s: {told}"
            self._listens = self._url in told
            time.sleep(0 if self._listens else 0.02)
        return self._url

    def hits(self) -> Counter[str]:
        """How often each path was answered, robots.txt left out."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines())
        return Counter(hit["path"] for hit in lines if hit["path"] != "/robots.txt")


class Reading(Protocol):
    """A connection to whichever database, for an independent look."""

    def execute(self, sql: str, /) -> Any: ...


class Cluster:
    """Masters and workers around one etcd and one store: a SQLite file, unless a PostgreSQL is
    given."""

    def __init__(
        self,
        folder: Path,
        etcd: EtcdServer,
        ttl_s: int = TTL_S,
        postgres: PostgresServer | None = None,
    ) -> None:
        self.folder = folder
        self.etcd = etcd
        self.ttl_s = ttl_s
        self.postgres = postgres
        self.database = folder / "store.db"
        self.store = postgres.fresh_url() if postgres else f"sqlite:///{self.database}"
        self.masters: dict[str, Process] = {}
        self.workers: dict[str, Process] = {}
        self._http: dict[str, int] = {}
        self._ports: dict[str, int] = {}
        self._started: list[Process] = []

    def place(self, node: str) -> Place:
        """Where that node runs."""
        return LOOPBACK

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Of etcd, as they are reached from here."""
        return self.etcd.endpoints

    def endpoints_of(self, node: str) -> tuple[str, ...]:
        """Of etcd, as that node is told them."""
        return self.etcd.endpoints

    def interpreter(self, node: str) -> str:
        """Which Python runs that node."""
        return sys.executable

    def _start(self, role: str, node: str, *options: str, **environment: str) -> Process:
        name = f"{role}-{node}"
        place = self.place(name)
        http = self._http.setdefault(name, free_port())
        grpc = self._ports.setdefault(name, free_port())
        arguments = [self.interpreter(name), "-m", "crawler", role, f"--id={node}"]
        arguments += [f"--http={place.address}:{http}", f"--grpc={place.address}:{grpc}"]
        arguments += [f"--etcd={','.join(self.endpoints_of(name))}", f"--ttl={self.ttl_s}"]
        arguments += options
        if place is not LOOPBACK:
            arguments.append("--insecure")
        environment = {"CRAWLER_STORE": self.store, **environment}  # it may hold a password
        log = self.folder / f"{name}.log"
        self._started.append(Process(name, place.command(arguments), log, **environment))
        return self._started[-1]

    def start_master(self, node: str, **environment: str) -> Process:
        self.masters[node] = self._start("master", node, **environment)
        return self.masters[node]

    def start_worker(self, node: str, **environment: str) -> Process:
        self.workers[node] = self._start(
            "worker",
            node,
            "--allow-private=127.0.0.0/8,10.99.0.0/24",
            **{"CRAWLER_PROCESSES": "1", **environment},  # half the time that a start takes
        )
        return self.workers[node]

    def move(self, name: str) -> None:
        """Whoever is started as ``name`` (master-1, say) from now on has other ports."""
        self._http.pop(name)
        self._ports.pop(name)

    def url(self, master: str) -> str:
        return f"http://127.0.0.1:{self._http[f'master-{master}']}"

    def grpc_port(self, master: str) -> int:
        """Where it takes gRPC."""
        return self._ports[f"master-{master}"]

    @property
    def doors(self) -> tuple[list[str], list[str]]:
        """Where every node that was started answers: HTTP bases, and gRPC addresses."""
        bases = [f"http://{self.place(each).address}:{n}" for each, n in self._http.items()]
        return bases, [f"{self.place(each).address}:{n}" for each, n in self._ports.items()]

    async def candidates(self, after: int = 0) -> list[str]:
        """Ids of the masters that stand for election, by the keys in etcd, the leader's first.

        A master that died stands on until its lease ends: ``after`` a revision, only those count
        that came to stand later.
        """
        async with self.client() as etcd:
            kvs = (await etcd.range("/resources/election/")).kvs
        later = sorted((kv.create_revision, kv.value.decode()) for kv in kvs)
        return [
            value.partition("-")[0].removeprefix("master")
            for revision, value in later
            if revision > after
        ]

    async def revision(self) -> int:
        """How far etcd is."""
        async with self.client() as etcd:
            return (await etcd.range("/resources/election/")).revision

    async def leader(self) -> str | None:
        """The id of the master that leads."""
        return next(iter(await self.candidates()), None)

    async def complete(self, masters: Sequence[str], workers: Sequence[str]) -> None:
        """Start those that do not run, and return once all stand, answer and are registered."""
        for running, names, start in (
            (self.masters, masters, self.start_master),
            (self.workers, workers, self.start_worker),
        ):
            for name in names:
                if name not in running or not running[name].running:
                    start(name)
        await self.wait_ready(*masters)
        await self.wait_workers(len(workers))

        async def all_stand() -> bool | None:
            return len(await self.candidates()) == len(masters) or None

        await eventually(all_stand, "candidacy of every master", 10 * self.ttl_s)

    async def wait_leader(self, other_than: str | None = None) -> str:
        """Wait for a leader; and, unless one is to be replaced, until every master that runs takes
        requests."""

        async def another() -> str | None:
            leader = await self.leader()
            return leader if leader != other_than else None

        leader = await eventually(another, "a leader", 10 * self.ttl_s)
        if other_than is None:
            await self.wait_ready(*(each for each in self.masters if self.masters[each].running))
        return leader

    async def wait_ready(self, *masters: str) -> None:
        """Wait until these masters take requests."""

        async def answers(master: str) -> bool | None:
            try:
                return (await request("GET", f"{self.url(master)}/readyz"))[0] == 200 or None
            except OSError:
                return None

        for master in masters:
            await eventually(partial(answers, master), f"master {master}", 10 * self.ttl_s)

    async def wait_workers(self, count: int) -> None:
        """Wait until so many workers are registered."""

        async def enough() -> bool | None:
            async with self.client() as etcd:
                found = await etcd.range("/micro/registry/go.micro.server.worker/")
            return len(found.kvs) >= count or None

        await eventually(enough, f"{count} workers", 10 * self.ttl_s)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Etcd]:
        etcd = Etcd(EtcdSettings(self.endpoints), SystemClock())
        try:
            yield etcd
        finally:
            await etcd.close()

    @contextmanager
    def sql(self) -> Iterator[Reading]:
        """An independent read of the database."""
        if self.postgres is not None:
            with psycopg.connect(self.store) as server:
                yield _Plain(server)
            return
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            yield connection
        finally:
            connection.close()

    def story(self, since: float, of: Iterable[Process] | None = None) -> str:
        """What these nodes (None: all) logged from that Unix time on, in order, for where a bound
        broke."""
        lines = {
            line
            for process in (self._started if of is None else of)
            for line in process.text().splitlines()
            if line.startswith("{") and _logged_at(line) >= since
        }
        return "\n".join(sorted(lines, key=_logged_at))

    def stop(self) -> None:
        for process in self._started:
            process.kill_group()


class _Plain:
    """psycopg takes bytes where it cannot see that a text is no user's."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, /) -> Any:
        return self._connection.execute(sql.encode())


def _logged_at(line: str) -> float:
    return datetime.fromisoformat(json.loads(line)["ts"]).timestamp()


async def eventually(probe: Callable[[], Awaitable[T | None]], what: str, timeout_s: float) -> T:
    """Ask ``probe`` until it answers something truthy."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := await probe():
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {what} within {timeout_s} s")


async def request(
    method: str, url: str, body: Any = None, timeout_s: float = 15.0, token: str = ""
) -> tuple[int, Mapping[str, Any]]:
    """One HTTP call: status and JSON body."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout_s), headers=headers) as session,
        session.request(method, url, json=body) as response,
    ):
        return response.status, json.loads(await response.text() or "{}")
