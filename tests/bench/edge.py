"""Servers behind a load balancer join, are killed and end, so many times, while clients ask.

    python -m tests.bench.edge --changes 60 --kind nginx

prints how many requests failed, and why. Exits with 1 where one did.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bench.interrupt import unwind_on_sigterm
from tests.etcd_server import EtcdServer
from tests.integration.edge.stage import Stage
from tests.integration.edge.traffic import flowing

NAMES = "abcdef"
LEAST, MOST = 2, 5


async def change(stage: Stage, up: set[str], chance: random.Random) -> str:
    """One server joins, dies or ends, and the load balancer knows; what it was."""
    down = sorted(set(NAMES) - up)
    joins = len(up) <= LEAST or (len(up) < MOST and chance.random() < 0.5)
    if joins:
        name = chance.choice(down)
        stage.start_server(name)
        up.add(name)
        what = "join"
    else:
        name = chance.choice(sorted(up))
        up.remove(name)
        what = chance.choice(("kill -9", "SIGTERM"))
        if what == "SIGTERM":
            stage.servers[name].terminate()
        else:
            stage.servers[name].kill()
    await stage.members(*up, limit_s=60)
    if what == "SIGTERM":
        await asyncio.to_thread(stage.servers[name].wait, 30.0)
    return what


async def measure(kind: str, changes: int, per_s: int, calls_per_s: int, seed: int) -> bool:
    """Whether no request failed."""
    chance, up, done = random.Random(seed), set("abc"), Counter[str]()
    with tempfile.TemporaryDirectory() as folder, EtcdServer() as etcd:
        stage = Stage(Path(folder), etcd, kind)
        try:
            for name in sorted(up):
                stage.start_server(name)
            stage.start_door()
            stage.start_edge()
            await stage.members(*up, limit_s=60)
            began = time.monotonic()
            async with flowing(stage.url, stage.address, per_s=per_s, calls_per_s=calls_per_s) as (
                http,
                calls,
            ):
                for _ in range(changes):
                    done[await change(stage, up, chance)] += 1
            seconds = time.monotonic() - began
            reloads = await stage.figure(
                f'crawler_edge_changes_total{{how="reloaded",target="{kind}"}}'
            )
        finally:
            stage.stop()
    print(f"{kind}: {changes} changes in {seconds:.0f} s ({dict(done)}), {reloads:.0f} reloads")
    for name, traffic in (("HTTP", http), ("gRPC", calls)):
        print(f"  {name}: {sum(traffic.failures.values())} failed of {traffic.sent}")
        for why, number in traffic.failures.most_common():
            print(f"    {number} {why}")
    return not http.failures and not calls.failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=60)
    parser.add_argument("--kind", choices=["nginx", "haproxy", "both"], default="both")
    parser.add_argument("--per-second", type=int, default=200)
    parser.add_argument("--calls-per-second", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    unwind_on_sigterm()
    kinds = ["nginx", "haproxy"] if given.kind == "both" else [given.kind]
    fine = [
        asyncio.run(
            measure(kind, given.changes, given.per_second, given.calls_per_second, given.seed)
        )
        for kind in kinds
    ]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
