"""Is this process well? Named checks that answer in words, for people and for probes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from crawler.errors import CrawlerError

Probe = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Check:
    """What one probe said: ``words`` tell what is, or what is wrong; then ``advice`` tells what to
    do about it."""

    name: str
    ok: bool
    words: str
    advice: str = ""
    needed: bool = True  # for this process to be ready


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one moment."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether the process is ready."""
        return all(check.ok for check in self.checks if check.needed)

    def as_dict(self) -> dict[str, object]:
        """For JSON: ``{"ok": …, "checks": {name: {"ok": …, "words": …}}}``."""
        return {
            "ok": self.ok,
            "checks": {each.name: {"ok": each.ok, "words": each.words} for each in self.checks},
        }

    def as_text(self) -> str:
        """For people: what is wrong and what to do, then what is well."""
        wrong = [each for each in self.checks if not each.ok]
        lines = [f"not well, for {len(wrong)} reason(s)" if wrong else "all is well", ""]
        for each in wrong:
            lines.append(f"WRONG  {each.name}: {' '.join(each.words.split())}")
            lines += [f"       {each.advice}"] if each.advice else []
        lines += [f"ok     {each.name}: {each.words}" for each in self.checks if each.ok]
        return "\n".join(lines) + "\n"


class Health:
    """The checks of a process. A probe returns words when well and raises `CrawlerError` when not;
    one that takes longer than ``deadline_s`` is unwell too. ``advice`` is for when it is not."""

    def __init__(self, deadline_s: float = 2.0) -> None:
        self._deadline_s = deadline_s
        self._probes: dict[str, tuple[Probe, str]] = {}
        self._notes: dict[str, tuple[Probe, str]] = {}

    def add(self, name: str, probe: Probe, advice: str = "") -> None:
        """Ask ``probe`` from now on; a second one of the same name takes the place of the first."""
        self._probes[name] = probe, advice

    def note(self, name: str, probe: Probe, advice: str = "") -> None:
        """Ask ``probe`` only where everything is asked about: unwell, it keeps this process from no
        work, but somebody should see to it."""
        self._notes[name] = probe, advice

    def remove(self, name: str) -> None:
        """Ask it no more."""
        self._probes.pop(name, None)
        self._notes.pop(name, None)

    async def report(self, *, everything: bool = False) -> Report:
        """Ask all probes at the same time; those that were only noted where ``everything`` is
        asked about."""
        asked = [self._ask(name, *probe) for name, probe in self._probes.items()]
        notes = self._notes.items() if everything else ()
        noted = [self._ask(name, *probe) for name, probe in notes]
        checks, more = await asyncio.gather(asyncio.gather(*asked), asyncio.gather(*noted))
        return Report((*checks, *(replace(each, needed=False) for each in more)))

    async def _ask(self, name: str, probe: Probe, advice: str) -> Check:
        try:
            async with asyncio.timeout(self._deadline_s):
                return Check(name, True, await probe())
        except TimeoutError:
            return Check(name, False, f"no answer within {self._deadline_s:g} s", advice)
        except CrawlerError as error:
            return Check(name, False, str(error), advice)
