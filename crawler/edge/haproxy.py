"""haproxy: backends in a file of their own; members come and go without a reload.

Servers are added and removed through the runtime API, and the file is written too, so that a
restart agrees. Anything else that changes is a reload. Which structure is live is told by an empty
backend that is named after it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import structlog

from crawler.clock import Clock
from crawler.edge.commands import run_command
from crawler.edge.files import told
from crawler.edge.members import Backends, Member, Pools
from crawler.edge.ports import refuse_taken
from crawler.edge.runtime import Runtime, Server, Wanted
from crawler.edge.settings import HaproxyTarget, Pool
from crawler.edge.target import Applied, Live
from crawler.errors import OutOfStep, Unavailable

log = structlog.get_logger(__name__)

_TIMES = "inter 500ms fastinter 200ms downinter 300ms fall 2 rise 1"
_MARK = re.compile(r"^backend (crawler-edge-[0-9a-f]{16})$", re.MULTILINE)
_TIDY_S = 0.5


class Haproxy:
    """A `Balancer`."""

    def __init__(self, name: str, settings: HaproxyTarget, clock: Clock) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock
        self._runtime = Runtime(settings.socket)
        self._wanted: Wanted | None = None  # what was seen live last
        self._leaving: dict[tuple[str, str], float] = {}  # since when

    def render(self, pools: Pools) -> bytes:
        bodies = [_backend(name, pools[name]) for name in sorted(pools)]
        structure = "".join(re.sub(r"^    server .*\n", "", each, flags=re.M) for each in bodies)
        # How servers are spoken to is the same for all of a pool, and not compared one by one.
        forms = [_words(pools[name].pool, checked=True) for name in sorted(pools)]
        mark = hashlib.sha256(f"{structure}{forms}".encode()).hexdigest()[:16]
        return (
            f"# Written by crawler edge (target {self._name}); what is changed here is lost.\n\n"
            + "".join(f"{each}\n" for each in bodies)
            + "# Which structure of this file is live; servers change without a reload.\n"
            f"backend crawler-edge-{mark}\n    mode tcp\n"
        ).encode()

    async def check(self, staged: Path) -> None:
        settings = self._settings
        files = [str(staged if each == settings.file else each) for each in settings.configs]
        given = (word for file in files for word in ("-f", file))
        await run_command((settings.program, "-c", *given), settings.timeout_s)

    async def take(self, content: bytes) -> Applied:
        mark, wanted = _read(content)
        try:
            if mark and mark in await self._runtime.backends():
                await self._adjust(wanted)
                return Applied.ADJUSTED
        except Unavailable as error:
            log.info("no runtime API; reloading", target=self._name, error=str(error))
        except OutOfStep as error:
            log.warning("not adjusted; reloading", target=self._name, error=str(error))
        with told("cannot read the configuration"):
            refuse_taken(self._settings.configs)
        await run_command(self._settings.reload, self._settings.timeout_s)
        return Applied.RELOADED

    async def state(self, content: bytes) -> Live:
        mark, wanted = _read(content)
        if not mark:
            return Live.UNKNOWN  # somebody else wrote it
        try:
            if mark not in await self._runtime.backends():
                return Live.OTHER
            servers = await self._runtime.servers()
        except Unavailable:
            return Live.DOWN
        here = {key: each for key, each in servers.items() if key[0] in wanted}
        placed = all(
            (backend, name) in here and here[backend, name].fits(line)
            for backend, lines in wanted.items()
            for name, line in lines.items()
        )
        leaving = all(
            each.leaves for (backend, name), each in here.items() if name not in wanted[backend]
        )
        if not (placed and leaving):
            return Live.OTHER
        self._wanted = wanted
        return Live.SAME

    async def tidy(self) -> float | None:
        """Delete removed servers once nothing runs on them, or when that takes too long."""
        if self._wanted is None:
            return None
        try:
            left = dict(_unwanted(self._wanted, await self._runtime.servers()))
            self._leaving = {key: since for key, since in self._leaving.items() if key in left}
            if not left:
                return None
            sessions = await self._runtime.sessions()
            now = self._clock.elapsed()
            for key in left:
                since = self._leaving.setdefault(key, now)
                if not sessions.get(key) or now - since >= self._settings.drain_s:
                    await self._runtime.remove(*key)
        except (Unavailable, OutOfStep) as error:
            log.info("not tidied yet", target=self._name, error=str(error))
        return _TIDY_S

    async def _adjust(self, wanted: Wanted) -> None:
        """Bring the servers of a structure that is live in step. New ones come first."""
        servers = await self._runtime.servers()
        for backend, lines in wanted.items():
            for name, line in lines.items():
                known = servers.get((backend, name))
                if known is None:
                    await self._runtime.add(backend, name, line)
                elif not known.fits(line):
                    await self._runtime.change(backend, name, line)
        for (backend, name), server in _unwanted(wanted, servers):
            if not server.leaves:
                await self._runtime.drain(backend, name)


def _unwanted(
    wanted: Wanted, servers: dict[tuple[str, str], Server]
) -> Iterator[tuple[tuple[str, str], Server]]:
    for (backend, name), server in servers.items():
        if backend in wanted and name not in wanted[backend]:
            yield (backend, name), server


def _backend(name: str, backends: Backends) -> str:
    pool = backends.pool
    lines = [f"backend {name}", f"mode {'tcp' if pool.mode == 'tcp' else 'http'}"]
    lines += ["balance roundrobin", "option redispatch 1", "retries 3"]
    if pool.mode == "grpc":
        lines.append("timeout server 1h")  # streams may be silent
    if pool.mode != "tcp":
        # A request may run twice then: what changes something must be safe to repeat.
        lines.append("retry-on conn-failure empty-response response-timeout 502 503")
    path, _ = pool.health
    if path:
        lines += [f"option httpchk GET {path}", "http-check expect status 200"]
    leader = next((each for each in backends.usable if each.id == backends.leader), None)
    if leader is not None:
        reads = "" if pool.mode != "http" else " unless METH_GET or METH_OPTIONS"
        lines.append(f"use-server {leader.id}{reads}")
    lines += [_server(backends, each) for each in backends.members]
    return "\n    ".join(lines) + "\n"


def _server(backends: Backends, member: Member) -> str:
    pool = backends.pool
    words = ["server", member.id, member.address, "weight"]
    words += ["0" if backends.resting(member) else "1", "check"]
    if member.check_port:
        words += ["port", str(member.check_port)]
    return " ".join([*words, *_words(pool, checked=bool(member.check_port))])


def _words(pool: Pool, *, checked: bool) -> list[str]:
    """How a server is spoken to; ``checked``: at another port than it serves at."""
    words: list[str] = []
    if pool.tls_ca is not None:
        words = ["ssl", "verify", "required", "ca-file", str(pool.tls_ca)]
        words += ["crt", str(pool.tls_pair)] if pool.tls_pair is not None else []
        words += ["check-ssl"] if checked else []
    if pool.mode == "grpc":
        words += ["alpn", "h2"] if pool.tls_ca is not None else ["proto", "h2"]
        words += ["check-proto", "h1"]
    return [*words, _TIMES]


def _read(content: bytes) -> tuple[str, Wanted]:
    """The mark of a rendered file ("": it is none), and its servers: what follows the name, by
    backend and name."""
    text = content.decode("utf-8", "replace")
    mark = _MARK.search(text)
    wanted: Wanted = {}
    if mark is None:
        return "", wanted
    backend = ""
    for line in text.splitlines():
        if line.startswith("backend "):
            backend = line.split()[1]
            wanted[backend] = {}
        elif line.startswith("    server "):
            _, name, rest = line.split(maxsplit=2)
            wanted[backend][name] = rest
    return mark[1], wanted
