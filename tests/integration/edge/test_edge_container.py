"""What the container before the masters starts, without a container."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.acceptance.cluster import Process
from tests.integration.edge.stage import PATH
from tests.lab.namespace import Namespace

CONTAINER = Path(__file__).parents[3] / "etc" / "container"

READY, ALIVE = (f"http://127.0.0.1:8080/{each}" for each in ("readyz", "healthz"))
EDGE = "http://127.0.0.1:8079/readyz"

# Where the container is writable, so is this; and it has a cluster beside it, on the usual ports.
# It is started twice, the second time without etcd. What nginx leaves behind ends with it.
STAGE = """
set -eu
mount -t tmpfs none /run
mount -t tmpfs none /var/lib
mount -t tmpfs none /var/log/nginx
mkdir /var/lib/nginx
ip link set lo up
etcd --data-dir=/run/etcd &
etcd=$!
crawler master --id=1 --advertise=localhost --store=sqlite:////run/crawler.db &
unshare --pid --fork --kill-child --mount-proc sh "$1"
kill "$etcd"
exec sh "$1"
"""

# What nginx says first, once it listens.
FIRST = """
until said=$(curl --silent --write-out " %{http_code}" "$1"); do sleep 0.02; done
echo "$said" >&2
test "${said##* }" = 200
"""


def nginx_below(pid: int) -> int:
    """Its first process, whatever stands between; 0: there is none."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        name = Path(f"/proc/{child}/comm").read_text().strip()
        found = int(child) if name == "nginx" else nginx_below(int(child))
        if found:
            return found
    return 0


def test_the_entry_serves_masters_by_name_and_ends_with_nginx(tmp_path: Path) -> None:
    network = Namespace()
    path = f"{Path(sys.executable).parent}:{PATH}:/sbin:/bin"
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = network.command([*apart, "sh", "-c", STAGE, "sh", str(CONTAINER / "entry.sh")])
    entry = Process("entry", command, tmp_path / "entry.log", PATH=path)
    try:
        for url in (READY, EDGE):  # the edge has seen that it serves
            asked = [sys.executable, "-I", str(CONTAINER / "health.py"), url]
            well = network.command(["sh", "-c", 'until "$@"; do sleep 0.3; done', "sh", *asked])
            assert Process("health", well, tmp_path / "health.log").wait(60.0) == 0
        os.kill(nginx_below(entry.pid), signal.SIGQUIT)
        first = network.command(["sh", "-c", FIRST, "sh", ALIVE])
        said = Process("first", first, tmp_path / "first.log")
        assert said.wait(20.0) == 0, said.text()
        os.kill(nginx_below(entry.pid), signal.SIGQUIT)
        assert entry.wait(40.0) == 0
    finally:
        entry.kill_group()
        network.close()
