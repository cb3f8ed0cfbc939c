"""One address, two balancers: whatever happens to one of them, callers are served by the other.

Adverts of 0.2 s, by VRRP for real, between hosts of a laboratory. The bounds: 1 s on a clean stop,
1 s and three adverts on silence.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crawler.ops.keepalived import CONFIGURATION
from tests.lab.caller import FAILED, Call, Tally, read_calls, tally
from tests.lab.network import Host, Network
from tests.processes import GONE, state_of

VIP = "10.99.0.100"
ADVERT_S = 0.2
CLEAN_S = 1.0
SILENCE_S = 1.0 + 3 * ADVERT_S
PER_SECOND = 100
LIMIT_S = 10.0
STANDS_BY = "Entering BACKUP STATE"  # in keepalived's log
SETTLED_S = 1.0  # calls that began before may still be waited for

ROOT = Path(__file__).parents[3]


class Node:
    """A balancer: nginx before the backend, and keepalived as `crawler install` sets it up."""

    def __init__(self, host: Host, folder: Path, peer: Host, backend: Host, priority: int) -> None:
        self.name = host.name
        self._host = host
        self._folder = folder / host.name
        self._folder.mkdir()
        self._said = self._folder / "keepalived.log"
        folder.chmod(0o755)
        options = f"--interface=eth0 --vip={VIP}/24 --address={host.address} --peer={peer.address}"
        options += f" --priority={priority} --root={self._folder}"
        self._install(options.split())
        self._nginx: subprocess.Popen[bytes] | None = None
        self._config = self._folder / "nginx.conf"
        self._config.write_text(
            f"user root; daemon off; worker_processes 1; pid {self._folder}/nginx.pid;\n"
            f"error_log {self._folder}/nginx.log;\nevents {{}}\nhttp {{ access_log off;\n"
            f"server {{ listen 80; add_header X-Balancer {host.name};\n"
            f"location / {{ proxy_pass http://{backend.address}:80; }} }} }}\n"
        )

    def _install(self, options: list[str]) -> None:
        """The command, on that host; keepalived there reads what is to be written."""
        self._host.namespace.run(
            "env", f"--chdir={ROOT}", sys.executable, "-m", "crawler", *("install", "keepalived"),
            *options,
        )  # fmt: skip

    def start(self) -> None:
        self.start_nginx()
        self.start_keepalived()

    def start_nginx(self) -> None:
        self._nginx = self._host.start(
            ["nginx", "-p", str(self._folder), "-c", str(self._config)],
            start_new_session=True,
            env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"},
        )

    def kill_nginx(self) -> None:
        """All of it."""
        assert self._nginx is not None
        os.killpg(self._nginx.pid, signal.SIGKILL)
        self._nginx.wait()

    def start_keepalived(self) -> None:
        """Return once it would take over: its check has passed, and it listens for adverts."""
        before = self._log().count(STANDS_BY)
        config = self._folder / CONFIGURATION.relative_to("/")
        pids = [f"--pid={self._folder}/pid", f"--vrrp_pid={self._folder}/vrrp.pid"]
        with self._said.open("ab") as log:
            self._keepalived = self._host.start(
                ["keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp",
                 f"--use-file={config}", *pids],
                output=log,
                env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"},
            )  # fmt: skip
        until(lambda: self._log().count(STANDS_BY) > before, f"{self.name} standing by", self.log)

    def stop_keepalived(self) -> None:
        self._keepalived.terminate()
        self._keepalived.wait(LIMIT_S)

    def kill_keepalived(self) -> None:
        """The parent and the child that speaks VRRP, so that nobody says good-bye."""
        child = int((self._folder / "vrrp.pid").read_text())
        for pid in (self._keepalived.pid, child):
            os.kill(pid, signal.SIGKILL)
        self._keepalived.wait()
        until(lambda: state_of(child) == GONE, "end of the child")
        for file in self._folder.glob("*.pid"):
            if file.name != "nginx.pid":
                file.unlink()

    def holds(self) -> bool:
        """Whether the address is at its interface."""
        return f" {VIP}/" in self._host.namespace.run("ip", "-o", "addr", "show", "dev", "eth0")

    def close(self) -> None:
        if self._nginx is not None and self._nginx.poll() is None:
            self.kill_nginx()
        if self._keepalived.poll() is None:
            self.stop_keepalived()

    def log(self) -> str:
        """Its last words."""
        return self._log()[-3000:]

    def _log(self) -> str:
        return self._said.read_text() if self._said.exists() else ""


class Scene:
    """The pair, what is behind it, and a caller."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self._log = folder / "calls"
        one, two, backend = network["one"], network["two"], network["backend"]
        self.one = Node(one, folder, two, backend, 150)
        self.two = Node(two, folder, one, backend, 100)
        site = folder / "backend.conf"
        site.write_text(
            f"user root; daemon off; master_process off; pid {folder}/backend.pid;\n"
            f"error_log {folder}/backend.log;\nevents {{}}\n"
            "http { access_log off; server { listen 80; return 200 ok; } }\n"
        )
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        backend.start(["nginx", "-p", str(folder), "-c", str(site)], env=environment)

    def begin(self) -> None:
        self.one.start()
        until(self.one.holds, "address at the first", self.log)
        self.two.start()
        with self._log.open("wb") as log:
            self.network["client"].start(
                [sys.executable, "-m", "tests.lab.caller", VIP, "80", str(PER_SECOND)],
                output=log, cwd=ROOT, error=subprocess.STDOUT,
            )  # fmt: skip
        until(lambda: len(self.calls()) > PER_SECOND / 10, "calls", self.log)

    def calls(self) -> list[Call]:
        return read_calls(self._log)

    def after(self, fault: Callable[[], object], heir: Node) -> Tally:
        """What callers see of a fault, until the heir has served all calls for a while."""
        began = time.monotonic()
        fault()

        def served() -> bool:
            recent = self.calls()[-PER_SECOND // 2 :]
            return {each.by for each in recent if each.began > began} == {heir.name}

        until(served, f"answers of {heir.name}", self.log)
        time.sleep(SETTLED_S)  # for calls that have not given up yet
        return tally(self.calls(), began, heir.name)

    def log(self) -> str:
        return f"{self.one.log()}\n{self.two.log()}\n{self._log.read_text()[-500:]}"

    def undisturbed(self, deed: Callable[[], object], *holders: Node) -> Tally:
        """That deed fails no caller of a single holder; where there are two, a connection may have
        begun with the other one."""
        began = time.monotonic()
        deed()
        time.sleep(SETTLED_S)  # longer than a switch takes
        seen = tally(self.calls(), began, holders[0].name)
        assert set(seen.by) <= {each.name for each in holders} | {FAILED}, seen
        assert seen.failed <= (len(holders) - 1) * ADVERT_S * PER_SECOND, seen
        return seen


def until(seen: Callable[[], bool], what: str, story: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not seen():
        assert time.monotonic() < deadline, f"no {what} within {LIMIT_S:g} s\n{story()}"
        time.sleep(0.02)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    assert os.geteuid() == 0, "this test needs root: keepalived runs its checks as another user"
    with Network("one", "two", "backend", "client") as network:
        made = Scene(network, tmp_path)
        yield made
        made.one.close()
        made.two.close()


def within(seen: Tally, bound_s: float) -> None:
    assert seen.served_s is not None, seen
    assert seen.served_s < bound_s, seen
    assert seen.failed <= bound_s * PER_SECOND, seen


def test_the_address_moves_and_callers_hardly_see_it(scene: Scene) -> None:
    one, two = scene.one, scene.two
    scene.begin()

    stopped = scene.after(one.stop_keepalived, two)
    within(stopped, CLEAN_S)
    scene.undisturbed(one.start_keepalived, two)  # who comes back does not take it back

    killed = scene.after(two.kill_keepalived, one)
    within(killed, SILENCE_S)
    assert killed.failed <= PER_SECOND / 10, killed  # the old one went on answering
    scene.undisturbed(two.start_keepalived, one)
    assert not two.holds(), "what was left of the address"

    unplugged = scene.after(lambda: scene.network.unplug("one"), two)
    within(unplugged, SILENCE_S)
    scene.undisturbed(scene.network.heal, two)

    dead = scene.after(two.kill_nginx, one)
    within(dead, SILENCE_S)  # the check takes the place of the adverts
    scene.undisturbed(two.start_nginx, one)

    apart = scene.undisturbed(lambda: split(scene), one, two)
    healed = scene.undisturbed(lambda: heal(scene), one, two)
    assert one.holds(), "the one of the higher priority"
    seen = {"stopped": stopped, "killed": killed, "unplugged": unplugged, "nginx dead": dead}
    print(*({**seen, "split": apart, "healed": healed}).items(), sep="\n")


def split(scene: Scene) -> None:
    """Neither hears the other: both hold the address, and each neighbour knows one of them."""
    scene.network.cut("one", "two")
    until(scene.two.holds, "address at both")


def heal(scene: Scene) -> None:
    scene.network.heal()
    until(lambda: scene.one.holds() != scene.two.holds(), "single holder")


def test_keepalived_reads_what_the_kernel_is_to_pass_on(tmp_path: Path) -> None:
    with Network("one") as network:
        command = "install keepalived --interface=eth0 --vip=10.99.0.100/24 --address=10.99.0.11"
        command += f" --peer=10.99.0.12 --root={tmp_path} --ipvs-port=81 --real=10.99.0.13:80"
        run = ["env", f"--chdir={ROOT}", sys.executable, "-m", "crawler", *command.split()]
        network["one"].namespace.run(*run)
        text = (tmp_path / CONFIGURATION.relative_to("/")).read_text()
        assert "virtual_server 10.99.0.100 81" in text
        broken = tmp_path / "broken"
        broken.write_text(text.replace("lb_algo rr", "lb_algo never"))
        test = ["keepalived", "--config-test", "--log-console", f"--use-file={broken}"]
        with pytest.raises(RuntimeError, match="Invalid lvs_scheduler"):
            network["one"].namespace.run(*test)
