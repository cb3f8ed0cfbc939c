"""Is this process well? Named checks that answer in words, for people and for probes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from crawler.errors import CrawlerError

Probe = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Check:
    """What one probe said: ``words`` tell what is, or what is wrong."""

    name: str
    ok: bool
    words: str


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one moment."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, object]:
        """For JSON: ``{"ok": …, "checks": {name: {"ok": …, "words": …}}}``."""
        return {
            "ok": self.ok,
            "checks": {each.name: {"ok": each.ok, "words": each.words} for each in self.checks},
        }


class Health:
    """The checks of a process. A probe returns words when well and raises `CrawlerError` when not;
    one that takes longer than ``deadline_s`` is unwell too."""

    def __init__(self, deadline_s: float = 2.0) -> None:
        self._deadline_s = deadline_s
        self._probes: dict[str, Probe] = {}

    def add(self, name: str, probe: Probe) -> None:
        """Ask ``probe`` from now on; a second one of the same name takes the place of the first."""
        self._probes[name] = probe

    def remove(self, name: str) -> None:
        """Ask it no more."""
        self._probes.pop(name, None)

    async def report(self) -> Report:
        """Ask all probes at the same time."""
        asked = [self._ask(name, probe) for name, probe in self._probes.items()]
        return Report(tuple(await asyncio.gather(*asked)))

    async def _ask(self, name: str, probe: Probe) -> Check:
        try:
            async with asyncio.timeout(self._deadline_s):
                return Check(name, True, await probe())
        except TimeoutError:
            return Check(name, False, f"no answer within {self._deadline_s:g} s")
        except CrawlerError as error:
            return Check(name, False, str(error))
