"""A rolling upgrade of a real cluster: ``python -m tests.bench.upgrade --from REV`` replaces node
after node of that revision (the last release unless said) by this checkout, while three crawls run
and clients of both versions call, and exits with 1 if a page was lost or stored twice, or a call
failed.

The revision gets a directory and an environment of its own, which borrows what is installed here.
The order is that of the drill in the documentation; a worker and a master go the way back once,
before all go on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from crawler.client.client import Client
from tests.acceptance.cluster import Cluster, Process, Site, eventually
from tests.acceptance.truth import (
    PER_HOST,
    shop_definition,
    show,
    start_shop,
    wait_done,
    wait_finished,
)
from tests.bench.account import account, longest_pause
from tests.bench.goals import Goal, table
from tests.bench.interrupt import Interrupted, noted_signals, until_noted
from tests.bench.release import Release, installed, last_tag, working
from tests.etcd_server import EtcdServer
from tests.postgres_server import PostgresServer

NODES = ("1", "2", "3")
SHOPS = ("shop-1", "shop-2", "shop-3")
DELAY_S = 0.05
PRODUCTS = 3000  # of each shop: its crawl is to outlast the upgrade
TTL_S = 3
CALLER = Path(__file__).with_name("caller.py")


class Mixed(Cluster):
    """A cluster each of whose nodes runs the release that stands for its name. ``secret``: what
    all of them sign with (None: they do not)."""

    def __init__(self, first: Release, secret: Path | None, *rest: Any) -> None:
        super().__init__(*rest)
        self._first = first
        self._shared = {"CRAWLER_SECRET": str(secret)} if secret is not None else {}
        self.releases: dict[str, Release] = {}

    def interpreter(self, node: str) -> str:
        return str(self.releases.get(node, self._first).python)

    def begin(self, name: str) -> Process:
        """Start that node, in whatever directory this runs."""
        role, _, node = name.partition("-")
        start = self.start_master if role == "master" else self.start_worker
        return start(node, PYTHONSAFEPATH="1", **self._shared)

    def node(self, name: str) -> Process:
        role, _, node = name.partition("-")
        return (self.masters if role == "master" else self.workers)[node]


class Upgrade:
    """One upgrade, and what is known of it so far."""

    def __init__(self, cluster: Mixed, sites: Mapping[str, Site], old: Release) -> None:
        self.cluster = cluster
        self.sites = sites
        self.old, self.new = old, working()
        self.callers: dict[str, Process] = {}
        self.over = 0  # crawls that were over when the last node was new
        self.drained = 0  # stops of workers
        self.unkept = 0  # resources that are not there, or there against a deletion

    async def start(self) -> None:
        """All nodes of the old release, their crawls under way, and the clients."""
        for role in ("master", "worker"):
            for each in NODES:
                self.cluster.begin(f"{role}-{each}")
        await self.cluster.wait_ready(*NODES)
        await self.cluster.wait_workers(len(NODES))
        for name, site in self.sites.items():
            await start_shop(self.cluster, "1", site, name, DELAY_S)
        for name in self.sites:
            await wait_done(self.cluster, "1", 20, 30, name)
        definitions = self.cluster.folder / "definitions.json"
        shops = {name: shop_definition(site, DELAY_S) for name, site in self.sites.items()}
        definitions.write_text(json.dumps(shops))
        urls = [self.cluster.url(each) for each in NODES]
        for who, release in (("old", self.old), ("new", self.new)):
            command = [str(release.python), str(CALLER), who, str(definitions), *urls]
            log = self.cluster.folder / f"{who}.calls"
            self.callers[who] = Process(who, command, log, PYTHONSAFEPATH="1")

    async def roll(self) -> None:
        """Workers, then masters that follow, then the one that leads."""
        await self.replace("worker-1", self.new)
        await self.replace("worker-1", self.old)
        for each in NODES:
            await self.replace(f"worker-{each}", self.new)
        leader = await self.cluster.wait_leader()
        followers = [each for each in NODES if each != leader]
        await self.replace(f"master-{followers[0]}", self.new)
        await self.replace(f"master-{followers[0]}", self.old)
        for each in (*followers, leader):
            await self.replace(f"master-{each}", self.new)
        self.over = [await self._over(each) for each in self.sites].count(True)

    async def replace(self, name: str, release: Release) -> None:
        """Stop a node and start it from that release; return when it is there and all crawls that
        are not over have come further."""
        began = time.monotonic()
        before = {each: await self._done(each) for each in self.sites}
        self.drained += name.startswith("worker")
        code = await asyncio.to_thread(self.cluster.node(name).stop, 60.0)
        assert code == 0, f"{name} ended with {code}"
        stopped = time.monotonic()
        self.cluster.releases[name] = release
        self.cluster.begin(name)
        await self.cluster.wait_ready(*NODES)
        await self.cluster.wait_workers(len(NODES))
        here = time.monotonic()
        for each, done in before.items():
            further = partial(self._further, each, done + PER_HOST + 1)
            await eventually(further, f"pages of {each}", 20 * TTL_S)
        say(
            f"{name} is {release.name}: stopped in {stopped - began:.1f} s, there again after "
            f"{here - stopped:.1f} s, all crawls further after {time.monotonic() - here:.1f} s"
        )

    async def finish(self) -> None:
        """Wait for the ends of all crawls, and end the clients."""
        for name in self.sites:
            await wait_finished(self.cluster, "1", 600, name)
        for caller in self.callers.values():
            assert await asyncio.to_thread(caller.stop, 60.0) == 0, caller.text()[-2000:]

    async def _done(self, name: str) -> int:
        """Pages that the crawl has; all masters are there."""
        return int((await show(self.cluster, "1", name))["progress"]["done"])

    async def _over(self, name: str) -> bool:
        return bool((await show(self.cluster, "1", name))["state"] == "finished")

    async def _further(self, name: str, done: int) -> bool:
        return await self._done(name) >= done or await self._over(name)

    def close(self) -> None:
        for caller in self.callers.values():
            caller.kill_group()

    # -- the verdict

    def judge(self) -> list[Goal]:
        """What is said by the sites' own logs, by the database and by the clients."""
        found = account(self.cluster, self.sites)
        answers = sum(sum(site.hits().values()) for site in self.sites.values())
        calls = [line for who in self.callers for line in self._calls(who)]
        unknown = sum(line["unknown"] for line in calls)
        for line in calls:
            if line["failed"]:
                say(f"failed: {line}")
        longest = max(line["s"] for line in calls)
        pause = max(map(longest_pause, self.sites.values()))
        say(f"{answers:,} answers of the sites; the longest pause of a crawl was {pause:.1f} s")
        say(f"{len(calls):,} calls; {unknown} had to be sent again, their outcome being unknown")
        say(f"the longest call took {longest:.2f} s")
        return [
            Goal("pages lost", found.lost, 0),
            Goal("pages stored twice", found.doubled, 0),
            Goal("pages not done", found.undone, 0),
            Goal("pages fetched again", found.again, PER_HOST * self.drained),
            Goal(f"calls failed, of {len(calls):,}", sum(x["failed"] for x in calls), 0),
            Goal("durable writes that are not there", self.unkept, 0),
            Goal("crawls over before the upgrade was", self.over, 0),
        ]

    def _lines(self, who: str) -> list[Any]:
        return [json.loads(line) for line in self.callers[who].text().splitlines()]

    def _calls(self, who: str) -> Iterator[Any]:
        return (line for line in self._lines(who) if "call" in line)

    async def check_kept(self) -> None:
        """See which of the resources that clients added are there, and that none is that they
        deleted."""
        async with Client(self.cluster.url("1")) as client:
            there = {each.name for each in await client.resources()} - set(self.sites)
        kept = {name for who in self.callers for name in self._lines(who)[-1]["kept"]}
        self.unkept = len(there ^ kept)


async def measure(upgrade: Upgrade) -> Sequence[Goal]:
    """All of it."""
    await upgrade.start()
    await upgrade.roll()
    await upgrade.finish()
    await upgrade.check_kept()
    return upgrade.judge()


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


@contextmanager
def prepared(options: argparse.Namespace) -> Iterator[Upgrade]:
    """The old release, etcd, the store and the sites; all that runs is ended afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crawler-upgrade-")))
        revision = options.revision or last_tag()
        say(f"from {revision} to what is checked out")
        old = installed(revision, folder / "old")
        server = stack.enter_context(EtcdServer(members=options.members))
        postgres = None
        if options.store == "postgresql":
            postgres = stack.enter_context(PostgresServer(durable=True))
        secret = folder / "secret" if options.secret else None
        if secret is not None:
            secret.touch(0o600)
            secret.write_text(secrets.token_hex(32))
        cluster = Mixed(old, secret, folder, server, TTL_S, postgres)
        stack.callback(cluster.stop)
        sites = {}
        for name in SHOPS:
            (folder / name).mkdir()
            sites[name] = Site(folder / name, options.products)
            stack.callback(sites[name].process.kill_group)
        upgrade = Upgrade(cluster, sites, old)
        stack.callback(upgrade.close)
        for release in (old, upgrade.new):
            say(f"{release.name}: schema {release.schema}, {release.messages} fields of messages")
        yield upgrade


def main() -> int:
    """The command; 1: a goal is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.upgrade")
    parser.add_argument("--from", dest="revision", help="for git; the last tag v… unless said")
    parser.add_argument("--store", default="postgresql", choices=("postgresql", "sqlite"))
    parser.add_argument("--members", type=int, default=1, help="of etcd")
    parser.add_argument("--secret", action="store_true", help="nodes sign their records")
    parser.add_argument("--products", type=int, default=PRODUCTS, help="of each of three sites")
    options = parser.parse_args()
    try:
        with noted_signals() as came, prepared(options) as upgrade:
            goals = asyncio.run(until_noted(came, measure(upgrade)))
    except Interrupted as error:
        say(f"ended by {error}")
        return error.exit_code
    print(table(goals))
    return 0 if all(each.kept for each in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
