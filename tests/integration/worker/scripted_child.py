"""A crawling process whose jobs do what their definition says, and tell a witness.

Run as a child of a supervisor. Definitions: {"do": what, "page": hex fingerprint}, and with
"die_once": path, a death before the start that brings strikes is confirmed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from crawler.errors import Fenced, InvalidInput, StoreUnavailable
from crawler.model import LiveRecord
from crawler.worker.child import CrawlJob, Hear, JobReport, Parsing, serve_child
from crawler.worker.order import JobOrder

HOUR_S = 3600.0


class Script:
    """Plays one definition per order."""

    def __init__(self, witness: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(witness)
        self._tries: dict[str, int] = {}

    def tell(self, event: str, order: JobOrder | None = None, **fields: object) -> None:
        named = {"name": order.name, "revision": order.revision} if order else {}
        values = {"event": event, "pid": os.getpid(), **named, **fields}
        self._socket.send(json.dumps(values).encode())

    async def __call__(self, order: JobOrder, parsing: Parsing, report: JobReport) -> str:
        script = json.loads(order.definition)
        strikes = [[each.fingerprint, each.reason] for each in order.strikes]
        self._tries[order.name] = tries = self._tries.get(order.name, 0) + 1
        self.tell("claim", order, strikes=strikes, tries=tries)
        page = bytes.fromhex(script.get("page", "00" * 16))
        action = "crawl" if strikes else script["do"]
        self._fail(action, tries)
        if strikes and "die_once" in script:
            self._die_once(Path(script["die_once"]))
        report.started()
        report.live(LiveRecord(script.get("active", 1), 2.5, script.get("waiting", "")))
        self._parse(action, page, parsing, order)
        print("a print must not disturb the channel")
        if action == "finish":
            return "nothing pending"
        return await self._crawl(order, stubborn=action == "stubborn")

    def _fail(self, action: str, tries: int) -> None:
        if action == "fence":
            raise Fenced("a newer claim stands")
        if action == "reject":
            raise InvalidInput("rules.0.css: cannot read it")
        if action == "away" and tries == 1:
            raise StoreUnavailable("database away")
        if action == "bug":
            raise ZeroDivisionError("division by zero")

    def _die_once(self, marker: Path) -> None:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def _parse(self, action: str, page: bytes, parsing: Parsing, order: JobOrder) -> None:
        if action not in ("hang", "poison", "swell", "toil"):
            return
        parsing(page)
        self.tell("parsing", order)
        if action == "toil":
            _toil()
            parsing(None)
            self.tell("parsed", order)
            return
        if action == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        swollen = bytearray(400 << 20 if action == "swell" else 1)
        for at in range(0, len(swollen), 4096):
            swollen[at] = 1
        while True:
            time.sleep(0.01)  # holds the loop like a parser would, without burning the test's core

    async def _crawl(self, order: JobOrder, *, stubborn: bool) -> str:
        while True:
            try:
                await asyncio.sleep(HOUR_S)
            except asyncio.CancelledError:
                self.tell("cancelled", order)
                if not stubborn:
                    raise


def _toil() -> None:
    """What takes a quarter of a second, of a processor to itself."""
    end = time.process_time() + 0.25
    while time.process_time() < end:
        pass


@asynccontextmanager
async def prepare(
    settings: Mapping[str, Any], hears: Callable[[Hear], None]
) -> AsyncIterator[CrawlJob]:
    if settings.get("broken"):
        raise StoreUnavailable("cannot open the store")
    script = Script(settings["witness"])
    hears(lambda news: script.tell(f"heard {news['word']}"))
    script.tell("ready")
    yield script
    script.tell("closed")


if __name__ == "__main__":
    sys.exit(asyncio.run(serve_child(prepare)))
