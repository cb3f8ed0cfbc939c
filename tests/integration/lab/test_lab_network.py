"""The laboratory itself: each fault does what it says, no more, and ends with its healing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.network import Host, Network
from tests.lab.tunnel import Disturbance

PEER = str(Path(__file__).with_name("peer.py"))
PORT = 7000


class Line:
    """A connection from one host to another's echo server."""

    def __init__(self, host: Host, to: Host) -> None:
        self._process = host.start(
            [sys.executable, PEER, "talk", to.address, str(PORT)],
            output=subprocess.PIPE,
            stdin=subprocess.PIPE,
        )
        self.opened = self._read()[0]

    def say(self) -> tuple[str, float]:
        """What became of a byte, and the seconds that it took."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return self._read()

    @property
    def fate(self) -> str:
        return self.say()[0]

    def answered_s(self) -> float:
        """Seconds that the quickest of some bytes took: what the line adds, and not the load."""
        said = [self.say() for _ in range(5)]
        assert {fate for fate, _ in said} == {"answered"}
        return min(seconds for _, seconds in said)

    def _read(self) -> tuple[str, float]:
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        return words[0].decode(), float(words[1])


class Scene:
    """Hosts a, b and c with an echo server each."""

    def __init__(self, network: Network) -> None:
        self.network = network
        for name in "abc":
            command = [sys.executable, PEER, "echo", str(PORT)]
            server = network[name].start(command, output=subprocess.PIPE)
            assert server.stdout is not None
            with server.stdout as output:
                assert output.readline() == b"ready\n"

    def line(self, one: str, other: str) -> Line:
        return Line(self.network[one], self.network[other])

    def count(self, one: str, other: str, number: int) -> int:
        """How many of so many datagrams came back."""
        to = self.network[other].address
        run = self.network[one].namespace.run
        return int(run(sys.executable, PEER, "count", to, str(PORT), str(number)))


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Network("a", "b", "c") as network:
        yield Scene(network)


def test_hosts_reach_each_other_and_nobody_else(scene: Scene) -> None:
    assert scene.line("a", "b").fate == "answered"
    assert scene.line("c", "a").fate == "answered"
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert "to-a" not in links
    assert "br0" not in links
    with Network("a", "b") as twin:  # another run has the same names and addresses
        assert twin["a"].address == scene.network["a"].address
        assert Line(twin["a"], twin["b"]).opened == "refused"
    assert scene.line("a", "b").fate == "answered"


def test_a_cut_is_between_two_and_silent(scene: Scene) -> None:
    ab, ac, cb = scene.line("a", "b"), scene.line("a", "c"), scene.line("c", "b")
    with scene.network.cut("a", "b"):
        assert ab.fate == "silent"
        assert scene.line("b", "a").opened == "silent"
        assert (ac.fate, cb.fate) == ("answered", "answered")
    assert scene.line("b", "a").fate == "answered"
    assert ab.fate == "answered"  # the connection has outlived it


def test_an_isolated_host_hears_nobody_until_it_is_back(scene: Scene) -> None:
    ab, bc = scene.line("a", "b"), scene.line("b", "c")
    scene.network.isolate("a")
    assert (ab.fate, bc.fate) == ("silent", "answered")
    scene.network.heal()
    scene.network.heal()
    assert scene.line("b", "a").fate == "answered"


def test_an_unplugged_host_knows_it(scene: Scene) -> None:
    with scene.network.unplug("a"):
        assert scene.line("a", "b").opened == "unreachable"
    assert scene.line("a", "b").fate == "answered"


def test_the_deaf_are_still_heard(scene: Scene) -> None:
    a, b = scene.network["a"], scene.network["b"]
    ab = scene.line("a", "b")
    with scene.network.deafen("a", "b"):
        assert ab.fate == "silent"  # b has heard it; a does not hear the answer
        got = b.namespace.run("ss", "--tcp", "--numeric", "--info", "state", "established")
        assert a.address in got
        assert "bytes_received:1" in got
    assert ab.fate == "answered"


def test_a_reset_is_felt_on_one_side(scene: Scene) -> None:
    ab, cb = scene.line("a", "b"), scene.line("c", "b")
    with scene.network.reset("b", "a"):
        assert ab.fate == "reset"
        assert scene.line("a", "b").opened == "refused"
        assert cb.fate == "answered"
    # b was told nothing: for b the connection goes on.
    table = scene.network["b"].namespace.run("ss", "--tcp", "--numeric", "state", "established")
    assert scene.network["a"].address in table


def test_losses_are_about_as_many_as_asked_for(scene: Scene) -> None:
    assert scene.count("a", "b", 200) == 200
    with scene.network.lose("b", 30):
        assert 0.55 * 200 < scene.count("a", "b", 200) < 0.85 * 200
    assert scene.count("a", "b", 200) == 200


def test_a_bad_line_delays_doubles_and_loses(scene: Scene) -> None:
    line = scene.line("a", "b")
    assert line.answered_s() < 0.05
    with scene.network.disturb("a", Disturbance(latency_s=0.1, jitter_s=0.02)):
        assert 0.08 < line.answered_s() < 0.3
        assert scene.line("c", "b").answered_s() < 0.05
    assert line.answered_s() < 0.05
    with scene.network.disturb("a", Disturbance(duplicates=0.5)):
        assert 1.35 * 200 < scene.count("a", "b", 200) < 1.65 * 200
    with scene.network.disturb("a", Disturbance(losses=0.25)):
        assert 0.6 * 200 < scene.count("a", "b", 200) < 0.9 * 200


def test_nothing_is_left_after_an_error() -> None:
    pids = []

    def fail() -> None:
        with Network("a", "b") as network:
            network.isolate("a")
            network.disturb("b", Disturbance(latency_s=1.0))
            sleeper = network["a"].start(["sleep", "100"])
            pids.extend([sleeper.pid, network["a"].namespace.pid, network["b"].namespace.pid])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(pids) == 3
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_a_killed_run_leaves_nothing_either() -> None:
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.lab.network import Network\n"
        "n = Network('a'); print(n['a'].namespace.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", code, root], stdout=subprocess.PIPE, check=False, timeout=20
    )
    assert done.returncode == -9
    pid = int(done.stdout)
    for _ in range(100):
        if not os.path.exists(f"/proc/{pid}"):
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise AssertionError("the namespace is still there")
