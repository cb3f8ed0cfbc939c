"""Somebody who asks one address again and again, with a new connection each time and no patience.

A program for a host of the laboratory: ``python -m tests.lab.caller ADDRESS PORT PER_SECOND``. It
prints a line for each call: when it began (seconds of CLOCK_MONOTONIC, the same on all hosts), and
the value of the header ``X-Balancer``, or ``-`` where no answer of 200 came within `PATIENCE_S`.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 1.0
FAILED = "-"
_SERVED = re.compile(rb"HTTP/1\.[01] 200 .*?X-Balancer: (\w+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """``by`` is who answered, or `FAILED`."""

    began: float
    by: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What callers saw since some moment: ``failed`` calls, from the moment until ``served_s`` one
    of the other balancer was answered (None: none was)."""

    failed: int
    served_s: float | None
    by: Counter[str]


def read_calls(log: Path) -> list[Call]:
    """In the order of their beginnings; the last line may be half written."""
    lines = log.read_text().split("\n")[:-1]
    calls = [Call(float(began), by) for began, by in (line.split() for line in lines)]
    return sorted(calls, key=lambda each: each.began)


def tally(calls: Sequence[Call], since: float, other: str) -> Tally:
    """What became of the calls that began after ``since``."""
    later = [each for each in calls if each.began >= since]
    served = next((each.began - since for each in later if each.by == other), None)
    by = Counter(each.by for each in later)
    return Tally(by[FAILED], served, by)


async def _ask(address: str, port: int) -> None:
    began, by = time.monotonic(), FAILED
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(b"GET / HTTP/1.0\r\nHost: lab\r\n\r\n")
                found = _SERVED.match(await reader.read())
                by = found[1].decode() if found else FAILED
            finally:
                writer.close()
    except (OSError, TimeoutError):
        pass
    print(f"{began:.6f} {by}", flush=True)


async def _call(address: str, port: int, per_second: float) -> None:
    beginning = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(sys.maxsize):
            group.create_task(_ask(address, port))
            await asyncio.sleep(beginning + number / per_second - time.monotonic())


if __name__ == "__main__":
    asyncio.run(_call(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
