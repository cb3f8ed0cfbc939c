"""Callers of the API, each of whom asks one thing after the other, whatever it is told."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import aiohttp

from crawler.definition import from_json
from tests.acceptance.chaos.history import Call, Kind, Outcome
from tests.acceptance.cluster import request

PAIRS = 2  # of callers, each pair with names of its own
CALLS = 4  # of each caller on each name: with its partner's, as many as can be judged
PAUSE_S = 0.1  # between two calls of a caller, in a run of a minute
LONGEST_PAUSE_S = 1.0
ANSWER_S = 12.0

_OK = {200, 202}
_UNKNOWN = {-1, 500, 502, 504}
_METHODS = {Kind.ADD: "POST", Kind.PUT: "PUT", Kind.DELETE: "DELETE", Kind.GET: "GET"}
_WISHES = (Kind.ADD, Kind.ADD, Kind.PUT, Kind.PUT, Kind.DELETE, Kind.GET)

Definition = Mapping[str, Any]


class Callers:
    """Two callers to a name, through any master; ``calls`` is what they did so far. A name gets
    one of ``variants``, which is definitions of one crawl.

    The longer they are to call, the more slowly they do: what they add has to end in time, too.
    """

    def __init__(
        self,
        masters: Sequence[str],
        variants: Sequence[Sequence[Definition]],
        seed: int,
        length_s: float,
    ) -> None:
        self.calls: list[Call] = []
        self._masters = masters
        self._variants = variants
        self._seed = seed
        self._pause_s = min(max(1.0, length_s / 60) * PAUSE_S, LONGEST_PAUSE_S)
        self._stopped = False

    def stop(self) -> None:
        """Let `run` return once every call under way has its answer."""
        self._stopped = True

    async def run(self) -> None:
        """Until stopped."""
        async with asyncio.TaskGroup() as group:
            for pair in range(PAIRS):
                for member in "ab":
                    group.create_task(self._ask(f"{pair}{member}", f"called-{pair}"))

    async def _ask(self, caller: str, prefix: str) -> None:
        chance = random.Random(f"{self._seed}/{caller}")
        for number in count():
            variants = self._variants[number % len(self._variants)]
            for _ in range(CALLS):
                if self._stopped:
                    return
                kind = chance.choice(_WISHES)
                definition = chance.choice(variants) if kind in (Kind.ADD, Kind.PUT) else None
                url = f"{chance.choice(self._masters)}/crawler/resource"
                name = f"{prefix}-{number}"
                self.calls.append(await call(caller, url, kind, name, definition))
                await asyncio.sleep(self._pause_s)


async def call(
    caller: str, url: str, kind: Kind, name: str, definition: Definition | None = None
) -> Call:
    """One call, and how it ended. ``url``: of all resources at some master."""
    body: Any = definition
    if kind is Kind.ADD:
        body = {"name": name, "definition": definition}
    else:
        url = f"{url}/{name}"
    spec = canonical(definition) if definition is not None else ""
    invoked = time.time()
    try:
        status, answer = await request(_METHODS[kind], url, body, ANSWER_S)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        status, answer = -1, {}
    outcome = outcome_of(kind, status)
    resource_id = ""
    if outcome is Outcome.OK and kind in (Kind.PUT, Kind.GET):
        resource_id = str(answer.get("id", ""))
    return Call(caller, name, kind, spec, invoked, time.time(), outcome, resource_id)


def outcome_of(kind: Kind, status: int) -> Outcome:
    """What a status says; -1: there was no answer. Unavailable (503) is promised to be without
    effect."""
    if status in _OK or (status == 404 and kind in (Kind.GET, Kind.DELETE)):
        return Outcome.OK
    return Outcome.INFO if status in _UNKNOWN else Outcome.FAIL


def canonical(definition: Definition) -> str:
    """The definition as etcd keeps it."""
    return from_json(json.dumps(definition)).canonical()
