"""A whole cluster on this machine: masters, workers and, if wanted, an etcd of their own.

Below the data directory: ``etcd/`` (its member), ``crawler.db``, ``ports.json``, ``logs/``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import aiohttp
import structlog

from crawler.clock import Clock
from crawler.config import sqlite_url
from crawler.errors import Misconfigured, Unavailable
from crawler.local.etcd_child import EtcdChild, find_etcd
from crawler.local.ports import PortBook
from crawler.local.process import Kept, last_line
from crawler.tasks import TaskGroup, bounded, start_loop

log = structlog.get_logger(__name__)

_WORKER_GRACE_S = 5.0
_MASTER_GRACE_S = 4.0
_READY_S = 45.0
_SOON_S = 5.0  # whoever is not ready by then is told of, and so often why, where that changes
_ASK_S = 3.0  # a node that is not ready takes its time to say why


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. ``etcd`` empty: one of our own; ``store`` None: SQLite below ``data``;
    ``http_port`` None: any free ports. ``restart``: start again what dies."""

    data: Path
    masters: int
    workers: int
    http_port: int | None = None
    etcd: tuple[str, ...] = ()
    store: str | None = None
    ttl_s: int = 10
    processes: int | None = None
    allow_private: tuple[str, ...] = ()
    tokens: str | None = None
    log_level: str = "info"
    config_file: Path | None = None
    restart: bool = True

    @property
    def store_url(self) -> str:
        return self.store or sqlite_url(self.database)

    @property
    def database(self) -> Path:
        """The SQLite file, where no other store was named."""
        return self.data / "crawler.db"

    @property
    def logs(self) -> Path:
        return self.data / "logs"


@dataclass(frozen=True, slots=True)
class Member:
    """A master or worker of the cluster: its id, its process and its HTTP address."""

    id: str
    kept: Kept
    url: str


class LocalCluster:
    """The processes of a `Plan`. Entered through `run_cluster`."""

    def __init__(
        self, plan: Plan, etcd: EtcdChild | None, endpoints: Sequence[str], clock: Clock
    ) -> None:
        self.plan = plan
        self.etcd = etcd
        self.endpoints = tuple(endpoints)
        self._clock = clock
        self._ports = PortBook(plan.data / "ports.json")
        self.masters = [self._member("master", n) for n in range(1, plan.masters + 1)]
        self.workers = [self._member("worker", n) for n in range(1, plan.workers + 1)]

    def _http_port(self, role: str, number: int) -> int:
        name, first = f"{role}-{number} http", self.plan.http_port
        if role == "worker" or not first:
            return self._ports.take(name)
        if number == 1:
            return self._ports.take_exactly(name, first, "choose another with --http :PORT")
        return self._ports.take(name, first + number - 1)

    def _member(self, role: str, number: int) -> Member:
        name, plan = f"{role}-{number}", self.plan
        http = self._http_port(role, number)
        argv = [sys.executable, "-m", "crawler", role]
        if plan.config_file is not None:
            argv.append(f"--config={plan.config_file}")
        argv += [f"--id={number}", f"--http=127.0.0.1:{http}"]
        argv += [f"--grpc=127.0.0.1:{self._ports.take(f'{name} grpc')}", "--pprof="]
        argv.append(f"--etcd={','.join(self.endpoints)}")
        argv += [f"--ttl={plan.ttl_s}", "--log-format=json", f"--log-level={plan.log_level}"]
        if plan.tokens is not None:
            argv.append(f"--tokens={plan.tokens}")
        if role == "worker":
            if plan.allow_private:
                argv.append(f"--allow-private={','.join(plan.allow_private)}")
            if plan.processes is not None:
                argv.append(f"--processes={plan.processes}")
        log_path = plan.logs / f"{name}.log"
        # Not in argv, where everybody on the machine could read the password in it.
        environ = {**_environment(own_etcd=self.etcd is not None), "CRAWLER_STORE": plan.store_url}
        if plan.config_file is None:
            environ.setdefault("CRAWLER_SINKS", str(plan.data / "sinks"))
            environ.setdefault("CRAWLER_FILES", str(plan.data / "files"))
        kept = Kept(name, argv, log_path, self._clock, environ=environ, restart=plan.restart)
        return Member(str(number), kept, f"http://127.0.0.1:{http}")

    @property
    def log_paths(self) -> list[Path]:
        """Logs of masters and workers, and of etcd last if it is ours."""
        paths = [member.kept.log_path for member in self.members]
        return paths + ([self.etcd.kept.log_path] if self.etcd is not None else [])

    @property
    def members(self) -> tuple[Member, ...]:
        return (*self.masters, *self.workers)

    async def start(self) -> None:
        """Start all masters and workers and wait until a leader takes requests.

        Raises `Unavailable` or `Misconfigured` with the last words of whoever did not start.
        """
        for member in self.members:
            await member.kept.start()
        began = self._clock.elapsed()
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_ASK_S), trust_env=False
        ) as http:
            told, next_s = "", _SOON_S
            for master in self.masters:
                while missing := await _missing(http, master.url):
                    waited_s = self._clock.elapsed() - began
                    _check_start(master.kept, missing, waited_s)
                    if waited_s > next_s and missing != told:
                        log.warning("waiting", name=master.kept.name, why=missing)
                        told, next_s = missing, waited_s + _SOON_S
                    await self._clock.sleep(0.1)

    async def watch(self) -> NoReturn:
        """Restart what dies. Raises `Misconfigured` where a restart cannot help."""
        async with TaskGroup() as group:
            if self.etcd is not None:
                start_loop(group, "keep etcd", self.etcd.watch())
            for member in self.members:
                start_loop(group, f"keep {member.kept.name}", member.kept.watch())
        raise AssertionError("loops end only by an error")

    async def stop(self) -> None:
        """Workers first, so that they can give back what they have; etcd last."""
        await _stop_all(self.workers, _WORKER_GRACE_S)
        await _stop_all(self.masters, _MASTER_GRACE_S)


def _environment(*, own_etcd: bool) -> dict[str, str]:
    """Ours; an etcd of our own asks nobody for a password, so none may be offered to it."""
    hidden = "CRAWLER_ETCD" if own_etcd else "\0"
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


def _check_start(kept: Kept, missing: str, waited_s: float) -> None:
    if kept.pid is None:
        words = last_line(kept.log_path)[:400]
        raise Misconfigured(f"{kept.name} ended at once ({kept.log_path}): {words}")
    if waited_s > _READY_S:
        raise Unavailable(
            f"{kept.name} is not ready after {_READY_S:g} s: {missing} (its log: {kept.log_path})"
        )


async def _missing(http: aiohttp.ClientSession, url: str) -> str:
    """What a node says it still lacks; "" once it is ready."""
    try:
        async with http.get(f"{url}/readyz") as answer:
            checks = (await answer.json())["checks"]
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError):
        return "it does not answer yet"
    unwell = (f"{name}: {check['words']}" for name, check in checks.items() if not check["ok"])
    return "; ".join(unwell)


async def _stop_all(members: Sequence[Member], grace_s: float) -> None:
    await asyncio.gather(*(member.kept.stop(grace_s) for member in members))


@asynccontextmanager
async def run_cluster(plan: Plan, clock: Clock) -> AsyncIterator[LocalCluster]:
    """A cluster that is up while the context lasts; whoever enters also runs its `watch`."""
    plan.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    etcd = None
    if not plan.etcd:
        program = await find_etcd()
        ports = PortBook(plan.data / "etcd" / "ports.json")
        etcd = EtcdChild(program, plan.data / "etcd", ports, plan.logs / "etcd.log", clock)
    try:
        if etcd is not None:
            await etcd.start()
        cluster = LocalCluster(plan, etcd, (etcd.url,) if etcd else plan.etcd, clock)
        try:
            await cluster.start()
            yield cluster
        finally:
            await bounded(cluster.stop(), _WORKER_GRACE_S + _MASTER_GRACE_S + 2.0, "nodes")
    finally:
        if etcd is not None:
            await bounded(etcd.stop(), 8.0, "etcd")
