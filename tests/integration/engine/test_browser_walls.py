"""What a page's JavaScript can reach: on a machine of its own, where nothing else is in its way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.engine.browser_machine import DEVICE, SITE
from tests.lab.namespace import Namespace

# What is known to reach a trap from a browser that is not kept from it.
WAYS = {
    "fetch", "fetch-redirect", "img", "img-redirect", "script", "script-redirect", "style",
    "iframe", "iframe-redirect", "srcdoc", "websocket", "events", "beacon", "worker",
    "worker-websocket", "tcp", "udp",
}  # fmt: skip


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with closing(Namespace()) as namespace:
        yield namespace


@pytest.mark.threat(6, 7, 8)
def test_a_page_reaches_public_addresses_through_the_guard_and_nothing_else(
    machine: Namespace, tmp_path: Path
) -> None:
    """The same page in the same browser without walls shows that each of its ways leads there."""
    machine.run("ip", "link", "set", "lo", "up")
    machine.run("ip", "link", "add", DEVICE, "type", "veth", "peer", "name", "far")
    for address in (SITE, "169.254.169.254", "10.7.7.7"):
        machine.run("ip", "address", "add", f"{address}/32", "dev", DEVICE)
    for device in (DEVICE, "far"):
        machine.run("ip", "link", "set", device, "addrgenmode", "none", "up")
    gateway = ("192.0.2.1", "dev", DEVICE)  # nobody is there, and what is sent is seen
    machine.run("ip", "neighbour", "add", *gateway, "lladdr", "02:00:00:00:00:01")
    machine.run("ip", "route", "add", "default", "via", *gateway, "onlink")
    program = [sys.executable, "-m", "tests.integration.engine.browser_machine", str(tmp_path)]
    done = subprocess.run(
        machine.command(program), capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert [item["done"] for item in told["items"]] == ["reached"]
    assert told["within"] == {"caught": [], "datagrams": [], "left": []}
    assert set(told["without"]["caught"]) >= WAYS
    assert told["without"]["datagrams"]
