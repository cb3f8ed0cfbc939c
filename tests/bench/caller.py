"""A client of a cluster that is being upgraded, by the program of either version:
``python caller.py WHO DEFINITIONS MASTER...``.

One call after the other, reads and writes that may be repeated, through each master in turn; where
one is away the client goes on to the next by itself. A line of JSON is printed for each call, and
on SIGTERM, after the turn that is under way, one with the resources that there must be.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from crawler.client.client import Client
from crawler.errors import CrawlerError, NotFound, OutcomeUnknown

PAUSE_S = 0.05
TRIES = 5  # of a write whose outcome is unknown


class Caller:
    """``definitions`` are those of the crawls, by their names."""

    def __init__(self, who: str, definitions: Mapping[str, Any], masters: list[str]) -> None:
        self._who = who
        self._definitions = definitions
        self._clients = [Client(masters[at:] + masters[:at]) for at in range(len(masters))]
        self.kept: list[str] = []

    async def turn(self, number: int) -> None:
        """One of each call, all through the same master first."""
        client = self._clients[number % len(self._clients)]
        crawl = sorted(self._definitions)[number % len(self._definitions)]
        await self._call("read", partial(client.resource, crawl))
        await self._call("list", client.resources)
        await self._call("nodes", client.nodes)
        await self._call("items", partial(_first_item, client, crawl))
        await self._call("put", partial(client.put, crawl, self._definitions[crawl]))
        name = f"{self._who}-{number}"
        for kind in ("add", "add again"):
            await self._call(kind, partial(client.add, name))
        if number % 2:
            self.kept.append(name)
        else:
            await self._call("delete", partial(client.delete, name))

    async def _call(self, kind: str, call: Callable[[], Awaitable[object]]) -> None:
        await asyncio.sleep(PAUSE_S)
        began = time.perf_counter()
        unknown, why = 0, ""
        while True:
            try:
                await call()
            except OutcomeUnknown as error:
                unknown, why = unknown + 1, str(error)
                if unknown < TRIES:
                    continue
            except CrawlerError as error:
                if not (unknown and isinstance(error, NotFound)):  # the first one deleted it
                    unknown, why = TRIES, f"{type(error).__name__}: {error}"
            break
        seconds = time.perf_counter() - began
        said = {"call": kind, "s": seconds, "failed": unknown >= TRIES, "unknown": unknown}
        print(json.dumps({**said, "why": why, "at": time.time()}), flush=True)


async def _first_item(client: Client, crawl: str) -> None:
    async for _ in client.items(crawl, page_size=1):
        break


async def run(caller: Caller) -> None:
    """Call until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    number = 0
    while not stop.is_set():
        await caller.turn(number)
        number += 1
    print(json.dumps({"kept": caller.kept}), flush=True)


if __name__ == "__main__":
    name, definitions, *masters = sys.argv[1:]
    asyncio.run(run(Caller(name, json.loads(Path(definitions).read_text()), masters)))
