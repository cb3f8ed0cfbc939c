"""Three members and two clients on hosts of their own, from the side of the test."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.etcd_server import EtcdServer
from tests.lab.network import Host, Network

ROOT = Path(__file__).parents[3]
MEMBERS = ("e1", "e2", "e3")
CLIENTS = ("c1", "c2")
SETTLE_S = 30.0

Told = dict[str, Any]
T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str, limit_s: float) -> T:
    """Look until there is something truthy."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"no {what} within {limit_s:g} s")


class Acting:
    """An `actor.Actor` that runs on a host."""

    def __init__(self, host: Host, log: Path, urls: Sequence[str], role: Sequence[str]) -> None:
        self.host = host
        self._log = log
        command = [sys.executable, "-m", "tests.integration.coordination.actor", ",".join(urls)]
        with log.open("wb") as output, log.with_suffix(".err").open("wb") as errors:
            self._process = host.start([*command, *role], output=output, error=errors, cwd=ROOT)
        self.wait("ready", 15)

    def told(self, *what: str, since: float = 0.0) -> list[Told]:
        """All that it told of those things from that boot time on."""
        # A line that is being written has no end yet.
        lines = self._log.read_bytes().rpartition(b"\n")[0].splitlines()
        every: list[Told] = [json.loads(line) for line in lines]
        return [one for one in every if one["what"] in what and one["at"] >= since]

    def wait(self, what: str, limit_s: float, *, since: float = 0.0, **details: object) -> Told:
        """The first thing of that kind, with those details, that it told since then."""

        def look() -> Told | None:
            told = self.told(what, since=since)
            return next((one for one in told if details.items() <= one.items()), None)

        return eventually(look, f"{what} {details}", limit_s)

    def member(self) -> str:
        """The host of the member that it is connected to; it must be one."""
        run = self.host.namespace.run
        table = run("ss", "--tcp", "--numeric", "--no-header", "state", "established")
        (number,) = set(re.findall(r"10\.99\.0\.(\d+)\]?:\d+\s*$", table, re.MULTILINE))
        return MEMBERS[int(number) - 11]


class Stage:
    """The hosts, etcd on three of them, and who acts."""

    def __init__(self, network: Network, etcd: EtcdServer, folder: Path) -> None:
        self.network = network
        self.etcd = etcd
        self.folder = folder
        self._acting = 0

    def act(self, host: str, *role: str, members: Sequence[str] = MEMBERS) -> Acting:
        """Start an actor that knows of these members."""
        urls = [self.etcd.endpoints[MEMBERS.index(member)] for member in members]
        self._acting += 1
        log = self.folder / f"{self._acting}-{role[0]}.jsonl"
        return Acting(self.network[host], log, urls, role)

    def leader(self) -> str:
        """The host of etcd's leader."""
        return MEMBERS[self.etcd.leader()]

    def put(self, key: str, value: str = "", *, beside: str) -> float:
        """Write through that member, from its own host; the boot time when it was done."""
        self.etcd.ctl("put", key, value, member=MEMBERS.index(beside))
        return now()

    def settle(self) -> None:
        """Heal everything, and return once all members serve."""
        self.network.heal()

        def healthy() -> bool | None:
            try:
                self.etcd.ctl("endpoint", "health")
            except RuntimeError:
                return None
            return True

        eventually(healthy, "health of all members", SETTLE_S)


def others(*left_out: str) -> tuple[str, ...]:
    """The other members."""
    return tuple(member for member in MEMBERS if member not in left_out)


def now() -> float:
    """The clock that actors tell their times by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
