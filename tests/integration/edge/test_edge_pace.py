"""Many changes are one, byte for byte the same is none, and there is one writer at a time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

from crawler.clock import SystemClock
from crawler.coordination.etcd import Etcd, EtcdSettings, delete, put
from tests.acceptance.cluster import eventually
from tests.etcd_server import EtcdServer
from tests.integration.edge.stage import Stage

CHANGES = 'crawler_edge_changes_total{how="adjusted",target="inventory"}'


async def test_a_storm_of_changes_is_written_few_times(
    nginx: Stage, tmp_path: Path, etcd: EtcdServer
) -> None:
    stage, inventory = nginx, tmp_path / "pools.json"
    stage.toml.write_text(
        f'etcd = ["{etcd.endpoints[0]}"]\n[edge]\nhttp = ":{stage.status}"\n'
        f'state = "{tmp_path}/state"\n[edge.pools.webapp]\nprefix = "/work/ips/"\nport = 80\n'
        f'[edge.targets.inventory]\nkind = "json"\nfile = "{inventory}"\n'
    )
    client = Etcd(EtcdSettings(etcd.endpoints), SystemClock())
    try:
        await client.txn([], [put("/work/ips/10.0.0.1", b"")])
        stage.start_edge()

        def hosts() -> set[str]:
            data = json.loads(inventory.read_text()) if inventory.exists() else None
            return {each["host"] for each in data["pools"]["webapp"]["members"]} if data else set()

        async def shows(*wanted: str) -> None:
            async def it_does() -> bool | None:
                return (hosts() == set(wanted) and await stage.ready()) or None

            await eventually(it_does, f"{wanted} in the file", 20.0)

        await shows("10.0.0.1")
        before = await stage.figure(CHANGES)
        for number in range(40):  # one comes, one goes, for twice as long as a change may wait
            await client.txn([], [put(f"/work/ips/10.0.1.{number}", b"")])
            await asyncio.sleep(0.1)
            await client.txn([], [delete(f"/work/ips/10.0.1.{number}")])
        await client.txn([], [put("/work/ips/10.0.0.2", b"")])
        await shows("10.0.0.1", "10.0.0.2")
        assert 1 <= await stage.figure(CHANGES) - before <= 4
        # There and back again while it waits: the bytes are the same, and nothing is written.
        written = inventory.stat().st_ino
        await client.txn([], [put("/work/ips/10.0.0.3", b"")])
        await client.txn([], [delete("/work/ips/10.0.0.3")])
        code, said = stage.edge_once("--once", "--http=")
        assert code == 1
        assert f"is kept by another crawler edge (pid {stage.edge_pid})" in said
        assert inventory.stat().st_ino == written
        # What somebody else wrote over it is seen when everything is looked at again.
        inventory.write_text('{"pools": {"webapp": {"members": []}}}')
        os.kill(stage.edge_pid, signal.SIGHUP)
        await shows("10.0.0.1", "10.0.0.2")
    finally:
        await client.close()
