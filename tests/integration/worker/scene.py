"""What the worker's tests play on: a witness that children talk to, and an agreement by hand."""

from __future__ import annotations

import asyncio
import json
import os
import random
import select
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crawler.clock import SystemClock
from crawler.coordination.catalog import Cluster, Entry, Load, Wish
from crawler.errors import EtcdUnavailable
from crawler.model import WORKER_SERVICE, Assignment, Desired, Node, Resource, State
from crawler.worker.report import Report
from crawler.worker.settings import SupervisorSettings
from crawler.worker.supervisor import Supervisor

CHILD = (sys.executable, str(Path(__file__).with_name("scripted_child.py")))
PARENT = Path(__file__).with_name("scripted_parent.py")
PAGE = "ab" * 16

Event = dict[str, Any]


class Witness:
    """Hears what scripted children tell, as it happens."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.events: list[Event] = []
        self._news = asyncio.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(self.path)
        self._tasks: set[asyncio.Task[None]] = set()

    async def hear(self) -> None:
        """Listen until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(self._socket, 65536)
            async with self._news:
                self.events.append(json.loads(data))
                self._news.notify_all()

    def told(self, event: str, **fields: object) -> list[Event]:
        """What was told so far."""
        wanted = {"event": event, **fields}
        return [each for each in self.events if wanted.items() <= each.items()]

    async def see(
        self, event: str, *, count: int = 1, within_s: float = 10.0, **fields: object
    ) -> Event:
        """The ``count``-th such event, which must come in time."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: len(self.told(event, **fields)) >= count)
            return self.told(event, **fields)[count - 1]

    def close(self) -> None:
        self._socket.close()


class FakeSession:
    """A lease whose end the test decides."""

    def __init__(self, ttl_s: int = 10) -> None:
        self.ttl_s = ttl_s
        self.left_s = float(ttl_s)

    def remaining(self) -> float:
        return self.left_s


class FakeCatalog:
    """An agreement that the test writes."""

    def __init__(self, me: Node | None = None) -> None:
        self.me = me or Node(
            "go.micro.server.worker-2", WORKER_SERVICE, "127.0.0.1:9090", revision=100
        )
        self.cluster: Cluster | None = Cluster("c1", "store-1")
        self.entries: dict[str, Entry] = {}
        self.revision = 100
        self.version = 1
        self._changed = asyncio.Event()

    async def changed(self, since: int) -> int:
        while self.version == since:
            await self._changed.wait()
        return self.version

    def assigned(self, node_id: str) -> Set[str]:
        homes = ((name, entry.resource) for name, entry in self.entries.items())
        return {
            name
            for name, resource in homes
            if resource and resource.assignment and resource.assignment.node_id == node_id
        }

    def publish(self) -> int:
        self.version += 1
        self.revision += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return self.revision

    def assign(self, name: str, script: Mapping[str, object], *, run: int = 1) -> int:
        """Give the resource to us, anew; returns the token."""
        revision = self.publish()
        resource = Resource(
            f"id-{name}", name, Assignment(self.me.id, self.me.address), 1, revision
        )
        self.entries[name] = Entry(
            name=name,
            resource=resource,
            definition=json.dumps(script),
            definition_revision=50,
            wish=Wish(Desired.RUNNING, run, resource.id),
            wish_revision=50,
            status=None,
            decision=None,
        )
        return revision

    def take(self, name: str) -> None:
        """Assign the resource to nobody."""
        entry = self.entries[name]
        assert entry.resource is not None
        resource = replace(entry.resource, assignment=None, revision=self.publish())
        self.entries[name] = replace(entry, resource=resource)

    def define(self, name: str, script: Mapping[str, object]) -> None:
        """Change the definition."""
        self.entries[name] = replace(
            self.entries[name], definition=json.dumps(script), definition_revision=self.publish()
        )


class FakeWriter:
    """Keeps reports; refuses them while ``away``."""

    def __init__(self) -> None:
        self.away = False
        self.statuses: list[tuple[str, State, str, int]] = []
        self.loads: list[Load] = []
        self._news = asyncio.Condition()

    async def write_statuses(self, reports: Sequence[Report]) -> Sequence[Report]:
        if self.away:
            raise EtcdUnavailable("away")
        async with self._news:
            self.statuses += [
                (resource.name, status.state, status.reason, status.revision)
                for resource, status in reports
            ]
            self._news.notify_all()
        return ()

    async def write_load(self, load: Load) -> None:
        if self.away:
            raise EtcdUnavailable("away")
        async with self._news:
            self.loads.append(load)
            self._news.notify_all()

    async def see(self, check: Callable[[], bool], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(check)

    async def see_status(self, name: str, state: State, within_s: float = 10.0) -> str:
        """The reason that came with the state."""
        await self.see(lambda: bool(self.reasons(name, state)), within_s)
        return self.reasons(name, state)[-1]

    def reasons(self, name: str, state: State) -> list[str]:
        return [each[2] for each in self.statuses if each[:2] == (name, state)]


def settings(**values: Any) -> SupervisorSettings:
    """Limits short enough for a test, long enough for two busy cores."""
    return SupervisorSettings(**{"processes": 1, "parse_limit_s": 2.0, "beat_s": 0.1, **values})


def supervisor(witness: str, *, broken: bool = False, **values: Any) -> Supervisor:
    return Supervisor(
        settings(**values),
        CHILD,
        {"witness": witness, "broken": broken},
        SystemClock(),
        random.Random(1),
    )


@dataclass
class Scene:
    """A supervisor at work for a hand-written agreement."""

    boss: Supervisor
    witness: Witness
    catalog: FakeCatalog
    session: FakeSession
    writer: FakeWriter
    living: asyncio.Task[Any]
    following: asyncio.Task[Any] | None = None

    def follow(self) -> None:
        """Begin a session."""
        self.following = asyncio.create_task(
            self.boss.follow(self.session, self.catalog.me, self.catalog, self.writer)
        )

    async def lose_session(self) -> None:
        assert self.following is not None
        await end(self.following)
        self.following = None


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task; an error it had is raised."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return


@asynccontextmanager
async def playing(path: Path, **values: Any) -> AsyncIterator[Scene]:
    """A scene with a session; all processes are gone after it."""
    witness = Witness(path / "witness")
    hearing = asyncio.create_task(witness.hear())
    boss = supervisor(witness.path, **values)
    scene = Scene(
        boss,
        witness,
        FakeCatalog(),
        FakeSession(),
        FakeWriter(),
        asyncio.create_task(boss.run_children()),
    )
    scene.follow()
    try:
        yield scene
    finally:
        if scene.following:
            await end(scene.following)
        await end(scene.living)
        await end(hearing)
        witness.close()
        assert boss.child_pids == ()


async def gone(pid: int, within_s: float) -> bool:
    """Whether the process, which need not be ours, ends in time."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ready, _, _ = await asyncio.to_thread(select.select, [pidfd], [], [], within_s)
        return bool(ready)
    finally:
        os.close(pidfd)
