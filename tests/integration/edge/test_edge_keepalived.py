"""keepalived takes a new list by a signal, and is looked at from outside: one that hangs or is gone
is found. Its kernel's part (IPVS) is not run here: it runs with --vrrp, and the list is checked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crawler.clock import SystemClock
from crawler.edge.keepalived import Keepalived
from crawler.edge.members import Backends, Member
from crawler.edge.settings import KeepalivedTarget, Pool
from crawler.edge.target import Applied, FileTarget
from crawler.errors import OutOfStep
from crawler.model import MASTER_SERVICE
from tests.integration.edge.stage import PATH
from tests.lab.network import Network

LIMIT_S = 10.0
POOL = Pool(service=MASTER_SERVICE)
ONE, TWO = Member("m1", "10.99.0.21", 8080), Member("m2", "10.99.0.22", 8080)
MAIN = """\
global_defs {
    script_user nobody
    enable_script_security
}
vrrp_instance crawler {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        10.99.0.100/24
    }
}
include lists/*.conf
"""


class Door:
    """A keepalived on a host of its own, and the target that keeps its list."""

    def __init__(self, network: Network, folder: Path) -> None:
        self._host = network["one"]
        self.folder = folder
        self.main, self.file = folder / "keepalived.conf", folder / "lists/virtual.conf"
        self.file.parent.mkdir()
        self.main.write_text(MAIN)
        self.log = folder / "log"
        # Its test looks for the interface where keepalived itself has it.
        program = folder / "program"
        there = self._host.command(["keepalived"])
        program.write_text(f'#!/bin/sh\nPATH={PATH} exec {" ".join(there)} "$@"\n')
        program.chmod(0o755)
        settings = KeepalivedTarget(
            kind="keepalived",
            file=self.file,
            main=self.main,
            pidfile=folder / "pid",
            program=str(program),
            virtual={"web": "10.99.0.100:80"},
            verify_s=0.5,
        )
        balancer = Keepalived("front", settings, SystemClock())
        kept = folder / "kept"
        self.target = FileTarget(
            "front", settings.file, balancer, kept, SystemClock(), verify_s=settings.verify_s
        )

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = self._host.start(
                ["keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp",
                 f"--use-file={self.main}", f"--pid={self.folder}/pid",
                 f"--vrrp_pid={self.folder}/vrrp.pid"],
                output=log,
                env={**os.environ, "PATH": PATH},
            )  # fmt: skip
        self.await_log("Startup complete")
        return process

    def await_log(self, what: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while what not in self.log.read_text():
            assert time.monotonic() < deadline, f"no {what}: {self.log.read_text()}"
            time.sleep(0.02)

    async def apply(self, *members: Member) -> Applied:
        return await self.target.apply({"web": Backends(POOL, members)})


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    assert os.geteuid() == 0, "this test needs root, as keepalived does"
    with Network("one") as network:
        made = Door(network, tmp_path)
        yield made
        made.target.close()


async def test_keepalived_is_checked_told_and_looked_at(door: Door) -> None:
    # Before it runs, the list is there for its start.
    with pytest.raises(OutOfStep, match=r"it seems not to run: .* is checked and in place"):
        await door.apply(ONE)
    process = door.start()
    assert await door.apply(ONE) is Applied.RELOADED
    door.await_log("Reload complete")
    assert await door.apply(ONE) is Applied.UNCHANGED
    assert door.log.read_text().count("Reload complete") == 1

    assert await door.apply(ONE, replace(TWO, draining=True)) is Applied.RELOADED
    good = door.file.read_text()
    assert "real_server 10.99.0.22 8080 {  # m2\n        weight 0\n" in good

    # The whole of its configuration is checked, and by keepalived itself.
    door.main.write_text(MAIN.replace("priority 100", "priority 1000"))
    with pytest.raises(OutOfStep, match="1000"):
        await door.apply(TWO)
    door.main.write_text(MAIN.replace("include", "# include"))
    with pytest.raises(OutOfStep, match=r"does not include .*virtual\.conf"):
        await door.apply(TWO)
    door.main.write_text(MAIN)
    assert door.file.read_text() == good

    # One that hangs takes no signal, and the last good list is put back.
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(OutOfStep, match="it hangs; the last good one is back in place"):
        await door.apply(TWO)
    assert door.file.read_text() == good
    os.kill(process.pid, signal.SIGCONT)
    assert await door.apply(TWO) is Applied.RELOADED

    process.kill()
    process.wait(LIMIT_S)
    with pytest.raises(OutOfStep, match="it seems not to run"):
        await door.apply(ONE)
