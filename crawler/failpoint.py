"""Named places where a test may kill, delay or fail a process, after the idea of etcd's gofail.

``CRAWLER_FAILPOINTS`` lists them: ``place=action`` joined by ``;`` where action is ``kill``
(SIGKILL to this process), ``stop`` (SIGSTOP), ``sleep(seconds)`` or ``fail``, with ``@n`` for
"at the nth passage only" (default: at each). Unset, `hit` is a test of one empty dictionary.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time

from crawler.errors import Misconfigured, OutcomeUnknown

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_ACTION = re.compile(r"(kill|stop|fail|sleep\((?P<seconds>\d+(?:\.\d+)?)\))(?:@(?P<nth>\d+))?")


def _parse(text: str) -> dict[str, re.Match[str]]:
    table = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        place, _, action = entry.partition("=")
        match = _ACTION.fullmatch(action)
        if match is None:
            raise Misconfigured(f"CRAWLER_FAILPOINTS: cannot read {entry!r}")
        table[place] = match
    return table


_armed = _parse(os.environ.get("CRAWLER_FAILPOINTS", ""))
_passed: dict[str, int] = {}


def arm(text: str) -> None:
    """Replace the whole table, in this process; for tests that do not start one."""
    _armed.clear()
    _armed.update(_parse(text))
    _passed.clear()


def _delay(place: str) -> float:
    match = _armed.get(place)
    if match is None:
        return 0.0
    _passed[place] = _passed.get(place, 0) + 1
    if match["nth"] is not None and int(match["nth"]) != _passed[place]:
        return 0.0
    action = match[1]
    if action in _SIGNALS:
        # To this very thread: a signal to the process goes to any thread, mostly the main one, and
        # this one would run on for a moment.
        signal.pthread_kill(threading.get_ident(), _SIGNALS[action])
    if action == "fail":
        raise OutcomeUnknown(f"failpoint {place}")
    return float(match["seconds"] or 0.0)


async def hit(place: str) -> None:
    """Pass a place in a coroutine."""
    if _armed and (seconds := _delay(place)):
        await asyncio.sleep(seconds)


def hit_sync(place: str) -> None:
    """Pass a place in plain code, a database transaction for instance."""
    if _armed and (seconds := _delay(place)):
        time.sleep(seconds)
