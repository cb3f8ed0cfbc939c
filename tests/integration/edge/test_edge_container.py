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

READY = "http://127.0.0.1:8080/readyz"

# Where the container is writable, so is this; and it has a cluster beside it, on the usual ports.
STAGE = """
set -eu
mount -t tmpfs none /run
mount -t tmpfs none /var/lib
mount -t tmpfs none /var/log/nginx
mkdir /var/lib/nginx
ip link set lo up
etcd --data-dir=/run/etcd &
crawler master --id=1 --advertise=localhost --store=sqlite:////run/crawler.db &
exec sh "$1"
"""


def test_the_entry_serves_masters_by_name_and_ends_with_nginx(tmp_path: Path) -> None:
    network = Namespace()
    path = f"{Path(sys.executable).parent}:{PATH}:/sbin:/bin"
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = network.command([*apart, "sh", "-c", STAGE, "sh", str(CONTAINER / "entry.sh")])
    entry = Process("entry", command, tmp_path / "entry.log", PATH=path)
    try:
        asked = [sys.executable, "-I", str(CONTAINER / "health.py"), READY]
        well = network.command(["sh", "-c", 'until "$@"; do sleep 0.3; done', "sh", *asked])
        assert Process("health", well, tmp_path / "health.log").wait(60.0) == 0
        (nginx,) = Path(f"/proc/{entry.pid}/task/{entry.pid}/children").read_text().split()
        os.kill(int(nginx), signal.SIGQUIT)
        assert entry.wait(40.0) == 0
    finally:
        entry.kill_group()
        network.close()
