"""A process that uses the store as it is told, line by line; the tests stop and kill it.

Each line of its input is a JSON list, a verb and its arguments; each line of its output tells
the result, or the class of the error. Arguments: the store's URL, the seconds to wait for locks,
and by how many seconds this process's wall clock is wrong.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from typing import Any

import structlog

from crawler.clock import SystemClock
from crawler.errors import CrawlerError
from crawler.model import Item, PageState, Visit
from crawler.store import open_store
from crawler.store.contract import Frontier, Store
from tests.contract.rows import RESOURCE, done, job, request, stamp
from tests.integration.store import toil

LINKS = 10


def page_items(name: str) -> tuple[Item, ...]:
    """What every page of the imagined site yields."""
    return (Item("r", {"name": name}), Item("r", {"name": name}, ("price",)))


class WrongClock(SystemClock):
    """As on a machine whose time nobody set."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead_s = ahead_s

    def wall(self) -> float:
        return super().wall() + self._ahead_s


class Actor:
    """The verbs."""

    def __init__(self, store: Store, clock: WrongClock) -> None:
        self.store = store
        self.clock = clock
        self.frontiers: dict[int, Frontier] = {}

    async def epoch(self, cluster: str, revision: int) -> int:
        return await self.store.open_epoch(cluster, revision)

    async def claim(
        self, revision: int, part: int, resource: str = RESOURCE, parts: int = 1
    ) -> None:
        wanted = stamp(revision, part=part, resource=resource)
        self.frontiers[part] = await self.store.claim(wanted, job(parts=parts))

    async def seed(self, count: int) -> int:
        names = [request(f"{number}") for number in range(count)]
        return (await self.frontiers[0].seed(names)).known

    async def work(self, batches: int, size: int, total: int) -> int:
        """Commit windows; page n links to 10 n + 1 ... 10 n + 10 below ``total``."""
        worked = 0
        for _ in range(batches):
            window = await self.frontiers[0].window(size, size, frozenset())
            await self.frontiers[0].commit(
                [self.visit(each.url, total) for each in window.requests]
            )
            worked += len(window.requests)
        return worked

    def visit(self, url: str, total: int) -> Visit:
        number = int(url.rpartition("/")[2])
        first = number * LINKS + 1
        links = [request(f"{each}") for each in range(first, min(first + LINKS, total))]
        return done(request(f"{number}"), *links, items=page_items(url), size_bytes=100)

    async def progress(self) -> list[int]:
        found = await self.frontiers[0].progress()
        return [found.known, found.done, found.pending]

    async def fence(self, revision: int, part: int) -> None:
        await self.store.raise_fence(stamp(revision, part=part))

    async def bury(self, resource_id: str) -> None:
        await self.store.bury(resource_id)

    async def notes(self, part: int, count: int) -> None:
        for number in range(count):
            await self.frontiers[part].note("number", f"{number}")

    async def labour(self, seconds: float, size: int) -> dict[str, Any]:
        """SIGUSR1 ends it sooner."""
        enough = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, enough.set)
        return await toil.labour(self.frontiers[0], seconds, size, enough)

    async def sow(self) -> int:
        """Seed the site on many hosts."""
        [frontier] = self.frontiers.values()
        return (await frontier.seed([toil.crossing(0)])).known

    async def contend(self, name: str, claims: int, commits: int) -> int:
        return await toil.contend(self.store, name, claims, commits)

    async def cross(self, part: int, total: int) -> list[int]:
        return await toil.cross(self.frontiers[part], total)

    async def open(self, url: str) -> str:
        """Open another store as well; its id."""
        store = await open_store(url, self.clock)
        await store.close()
        return store.id

    async def window(self, part: int) -> float | None:
        """How long the next row waits; None: nothing waits."""
        return (await self.frontiers[part].window(9, 9, frozenset())).next_in_s

    async def retry(self, part: int, delay_s: float) -> int:
        """Visit what is due, to be tried again so much later; how many those were."""
        found = await self.frontiers[part].window(9, 9, frozenset())
        again = [Visit(each, PageState.PENDING, retry_after_s=delay_s) for each in found.requests]
        await self.frontiers[part].commit(again)
        return len(again)

    async def reserve(self, holder: str, host: str, delay_s: float) -> list[Any]:
        """Ask for a turn, with the next request so much later: whether it was granted, and the
        seconds until it ends and until the next request."""
        grant = (await self.store.budgets(holder).reserve({host: delay_s}))[host]
        return [grant.held, grant.left_s, grant.wait_s]

    async def file_limit(self, size: int) -> None:
        """No file of this process may grow beyond ``size`` (a full disk; -1: space again)."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def answer(actor: Actor, line: str) -> dict[str, Any]:
    verb, *arguments = json.loads(line)
    try:
        return {"result": await getattr(actor, verb)(*arguments)}
    except CrawlerError as error:
        return {"error": type(error).__name__, "says": str(error)}


async def main(url: str, locked_for_s: float, ahead_s: float) -> None:
    clock = WrongClock(ahead_s)
    store = await open_store(url, clock, locked_for_s=locked_for_s)
    actor = Actor(store, clock)
    print(json.dumps({"result": store.id}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await answer(actor, line)), flush=True)
    await store.close()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], *map(float, sys.argv[2:])))
