"""The load goals of a whole cluster: ``make bench-cluster``, ``python -m tests.bench.cluster -h``.

Real are etcd, three master processes, the store, and 100 workers except for what is said in
`tests.bench.light_workers`. Resources are added through a follower's HTTP API while all workers are
drained, and placed at once when they are so no more. That is held for minutes. Then the leader is
killed with kill -9, then a tenth of the workers at once; at last single calls are compared with raw
writes to etcd. Prints a table, and exits with 1 where a goal is broken. Ratios of times taken in
turn say something on every machine, absolute times on a quiet one only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from crawler.coordination.catalog import View, read_view
from crawler.coordination.etcd import Etcd, delete, put
from crawler.coordination.keys import DRAINED, NODES, OURS, STATUSES, drain_key
from crawler.master.members import SETTLE_S
from crawler.model import WORKER_SERVICE
from crawler.rpc.calls import Channels, MasterCalls
from crawler.rpc.pb.crawler_pb2 import ResourceSpec
from crawler.tasks import start_loop
from tests.acceptance.cluster import Cluster, Process, eventually
from tests.bench.goals import Goal, table
from tests.bench.interrupt import Interrupted, noted_signals, until_noted
from tests.bench.observer import Observer
from tests.bench.usage import cpu_seconds, peak_mib
from tests.etcd_server import EtcdServer
from tests.postgres_server import PostgresServer

MASTERS = ("1", "2", "3")
HOSTS = 10  # processes of light workers; one of them dies
IN_FLIGHT = 16
CALLS = 200
PAUSE_S = 0.05  # between calls: a hundred watches tell of each
TTL_S = 10  # the default of the product

LEADER_MIB = 300
ETCD_MIB = 200
TAKEOVER_S = 2.0
REASSIGN_S = 1.0
RAW_WRITES = 3.0


@dataclass
class Bench:
    """A cluster under load, and what was found of it so far."""

    cluster: Cluster
    server: EtcdServer
    etcd: Etcd
    observer: Observer
    workers: int
    resources: int
    hosts: list[Process] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)

    @property
    def per_host(self) -> int:
        """Light workers in one process."""
        return self.workers // HOSTS

    def start(self) -> None:
        """Masters, and workers in few processes."""
        for master in MASTERS:
            self.cluster.start_master(master, CRAWLER_LOG_FORMAT="json")
        for first in range(0, self.workers, self.per_host):
            arguments = [sys.executable, "-m", "tests.bench.light_workers", str(first)]
            arguments += [str(self.per_host), f"--etcd={','.join(self.server.endpoints)}"]
            arguments += [f"--store={self.cluster.store}", f"--ttl={self.cluster.ttl_s}"]
            log = self.cluster.folder / f"workers-{first}.log"
            self.hosts.append(Process(f"workers-{first}", arguments, log))

    def stop(self) -> None:
        """All of them."""
        for host in self.hosts:
            host.kill_group()
        self.cluster.stop()

    async def follower(self) -> str:
        """One that runs and does not lead."""
        leader = await self.cluster.wait_leader()
        running = (each for each in MASTERS if self.cluster.masters[each].running)
        return next(each for each in running if each != leader)

    # -- the phases

    async def ready(self) -> None:
        """Return when all are registered and the masters take requests."""
        await eventually(self._all_here, f"{self.workers} workers", 120)
        await self.cluster.wait_ready(*MASTERS)

    async def fill(self) -> None:
        """Add all resources while nobody may have them."""
        nodes = [f"{WORKER_SERVICE}-{number}" for number in range(self.workers)]
        await self.etcd.txn((), [put(drain_key(node), b"{}") for node in nodes])
        began = time.monotonic()
        url = f"{self.cluster.url(await self.follower())}/crawler/resource"
        names = iter(range(self.resources))
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(_add_all(http, url, names))
        took_s = time.monotonic() - began
        say(f"added {self.resources:,} through a follower, {self.resources / took_s:.0f} a second")

    async def place(self) -> None:
        """Let all workers have work, in one moment."""
        began = time.time()
        await self.etcd.txn((), [delete(DRAINED, prefix=True)])
        names = [f"shop-{number}" for number in range(self.resources)]
        last = await self.observer.until_given(*names, since=began, within_s=300)
        say(f"all placed within {last - began:.1f} s")
        await eventually(self._all_begun, "statuses", 600)
        say(f"all begun {time.time() - last:.1f} s later")

    async def hold(self, minutes: float) -> None:
        """Let time pass, and see what that costs."""
        leader = await self.cluster.wait_leader()
        pids = {f"master {each}": process.pid for each, process in self.cluster.masters.items()}
        pids[f"master {leader}, leading"] = pids.pop(f"master {leader}")
        pids |= {f"etcd member {each}": pid for each, pid in self._members()}
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        await asyncio.sleep(60 * minutes)
        for name, pid in sorted(pids.items()):
            cost_s = (cpu_seconds(pid) - before[name]) / minutes
            say(f"{name:20} {cost_s:6.1f} CPU seconds a minute, {peak_mib(pid):4.0f} MiB at most")
        lost = len(self.observer.gone)
        self.goals.append(Goal(f"leases lost while held for {minutes:g} min", lost, 0))
        peak = peak_mib(self.cluster.masters[leader].pid)
        self.goals.append(Goal("memory of the leader", peak, LEADER_MIB, "MiB"))
        size = (await self.etcd.status()).db_bytes / (1 << 20)
        self.goals.append(Goal("database of etcd", size, ETCD_MIB, "MiB"))

    async def kill_leader(self) -> None:
        """kill -9, and measure from the end of its lease."""
        leader = await self.cluster.wait_leader()
        before = await read_view(self.etcd)
        assert before.leader is not None
        probing = asyncio.create_task(self._probe(await self.follower()))
        self.cluster.masters[leader].kill()
        ended = await self.observer.until_gone(before.leader.key, within_s=5 * TTL_S)
        given = await self.observer.until_given("probe", since=0.0, within_s=5 * TTL_S)
        await probing
        after = await read_view(self.etcd)
        assert after.leader is not None
        elected, leading = self._terms_of(after)
        first = self.observer.taken[after.leader.key]
        say(
            f"after the end of the lease: elected {elected - ended:.2f} s, first write "
            f"{first - ended:.2f} s, complete {leading - ended:.2f} s, next resource assigned "
            f"{given - ended:.2f} s"
        )
        self.goals.append(
            Goal("taking over, to the next assignment", given - ended, TAKEOVER_S, "s")
        )

    async def kill_workers(self) -> None:
        """kill -9 of a tenth at once; measure from the end of the lease of each."""
        host = self.hosts.pop()
        first = self.per_host * len(self.hosts)
        dead = [f"{WORKER_SERVICE}-{first + each}" for each in range(self.per_host)]
        held = {node: list(self.observer.held_by(node)) for node in dead}
        killed = time.time()
        host.kill_group()
        await self.observer.until_gone(*dead, within_s=5 * TTL_S)
        longest = 0.0
        for node, names in held.items():
            last = await self.observer.until_given(*names, since=killed, within_s=5 * TTL_S)
            longest = max(longest, last - self.observer.gone[node])
        ends = [self.observer.gone[node] for node in dead]
        say(
            f"{sum(map(len, held.values())):,} resources of {len(dead)} workers, whose leases "
            f"ended within {max(ends) - min(ends):.2f} s"
        )
        took_s = longest - SETTLE_S
        self.goals.append(Goal("reassigning, after the grace", took_s, REASSIGN_S, "s"))

    async def compare_calls(self) -> None:
        """AddResource through a follower, and two raw writes of the same client, in turn."""
        follower = await self.follower()
        view = await read_view(self.etcd)
        address = next(n.address for n in view.masters.values() if n.id.endswith(f"-{follower}"))
        channels = Channels()
        calls = MasterCalls(channels, address)
        raw, added = [], []
        for number in range(CALLS):
            await asyncio.sleep(PAUSE_S)
            raw.append(await timed(partial(self._write_raw, number)))
            await asyncio.sleep(PAUSE_S)
            spec = ResourceSpec(name=f"single-{number}", definition_json=definition(f"s{number}"))
            added.append(await timed(partial(calls.add_resource, spec)))
        await channels.close()
        raw_s, add_s = statistics.median(raw), statistics.median(added)
        say(f"two raw writes {1000 * raw_s:.2f} ms, AddResource {1000 * add_s:.2f} ms (medians)")
        ratio = add_s / raw_s
        self.goals.append(Goal("AddResource by a follower, in two raw writes", ratio, RAW_WRITES))

    # -- what they need

    async def _all_here(self) -> bool:
        found = await self.etcd.range(f"{NODES}{WORKER_SERVICE}/")
        return len(found.kvs) == self.workers

    async def _all_begun(self) -> bool:
        await asyncio.sleep(1.0)
        return len((await self.etcd.range(STATUSES)).kvs) >= self.resources

    def _members(self) -> Iterator[tuple[int, int]]:
        for member in range(len(self.server.endpoints)):
            yield member, self.server.pid(member)

    async def _probe(self, follower: str) -> None:
        """Ask again and again for one more resource, until the next leader has assigned it."""
        url = f"{self.cluster.url(follower)}/crawler/resource"
        await asyncio.sleep(TTL_S / 2)  # the dead one still counts as the leader
        async with aiohttp.ClientSession() as http:
            await eventually(lambda: _added(http, url, "probe"), "assignment", 5 * TTL_S)

    def _terms_of(self, view: View) -> tuple[float, float]:
        """When the leader of now was elected, and when it was done with taking over."""
        assert view.leader is not None
        log = self.cluster.masters[view.leader.id].text()
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        times = {line["msg"]: line["ts"] for line in lines if line["msg"] in ("elected", "leading")}
        elected, leading = (
            datetime.fromisoformat(times[each]).timestamp() for each in ("elected", "leading")
        )
        return elected, leading

    async def _write_raw(self, number: int) -> None:
        """Two transactions, each of a value as large as a resource's; masters hear of them."""
        for half in range(2):
            key = f"{OURS}bench/{number}/{half}"
            await self.etcd.txn((), (put(key, b"x" * 300),))


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """The seconds that it took."""
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


def definition(host: str) -> str:
    """A shop's, as a definition that users would write is about so long."""
    return json.dumps(
        {
            "start_urls": [f"https://{host}.example/"],
            "rules": [
                {
                    "match": f"https://{host}.example/",
                    "follow": [{"css": "nav a.category", "to": "category"}],
                },
                {
                    "name": "category",
                    "next": "a[rel=next]",
                    "follow": [{"css": ".card a", "to": "product"}],
                },
                {
                    "name": "product",
                    "item": {
                        "name": {"css": "h1::text", "required": True},
                        "price": {"css": ".price::text", "type": "decimal"},
                    },
                },
            ],
        }
    )


async def _add_all(http: aiohttp.ClientSession, url: str, names: Iterator[int]) -> None:
    for number in names:
        await eventually(partial(_added, http, url, f"shop-{number}"), "assignment", 60)


async def _added(http: aiohttp.ClientSession, url: str, name: str) -> bool:
    """Whether it is accepted; False: to be asked again."""
    body: Mapping[str, Any] = {"name": name, "definition": json.loads(definition(name))}
    async with http.post(url, json=body) as response:
        if response.status not in (200, 202, 503, 504):
            raise RuntimeError(f"{response.status}: {await response.text()}")
        return response.status < 300


@asynccontextmanager
async def running(cluster: Cluster, server: EtcdServer, options: Any) -> AsyncIterator[Bench]:
    """A bench whose processes are gone afterwards."""
    async with cluster.client() as etcd, asyncio.TaskGroup() as group:
        observer = Observer(etcd)
        bench = Bench(cluster, server, etcd, observer, options.workers, options.resources)
        watching = start_loop(group, "observer", observer.run())
        try:
            bench.start()
            await bench.ready()
            yield bench
        finally:
            bench.stop()
            watching.cancel()


async def measure(cluster: Cluster, server: EtcdServer, options: Any) -> list[Goal]:
    """All phases."""
    async with running(cluster, server, options) as bench:
        await bench.fill()
        await bench.place()
        await bench.hold(options.minutes)
        await bench.kill_leader()
        await bench.kill_workers()
        await bench.compare_calls()
        return bench.goals


@contextmanager
def prepared(options: Any) -> Iterator[tuple[Cluster, EtcdServer]]:
    """etcd and the store."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crawler-bench-")))
        server = stack.enter_context(EtcdServer(members=options.members))
        postgres = None
        if options.store == "postgresql":
            postgres = stack.enter_context(PostgresServer(durable=True))
        yield Cluster(folder, server, TTL_S, postgres), server


def main() -> int:
    """The command; 1: a goal is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cluster")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long all is held")
    parser.add_argument("--workers", type=int, default=100, help="a multiple of ten")
    parser.add_argument("--resources", type=int, default=10_000)
    parser.add_argument("--members", type=int, default=1, choices=(1, 3), help="of etcd")
    parser.add_argument("--store", default="sqlite", choices=("sqlite", "postgresql"))
    options = parser.parse_args()
    try:
        with noted_signals() as came, prepared(options) as (cluster, server):
            goals = asyncio.run(until_noted(came, measure(cluster, server, options)))
    except Interrupted as error:
        say(f"ended by {error}")
        return error.exit_code
    print(table(goals))
    return 0 if all(each.kept for each in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
