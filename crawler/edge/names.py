"""Names of hosts: which may stand in a record, and the address that each has now.

Load balancers are shown addresses alone. nginx looks a name up once, when it starts or reloads, and
refuses its whole configuration over one that it cannot resolve.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import NoReturn

import structlog

from crawler.clock import Clock

log = structlog.get_logger(__name__)

# Blocking; addresses, the best one first. Raises `OSError` where there are none.
Lookup = Callable[[str], Sequence[str]]

# How long news wait for the look-ups that they need. A name service that is away takes much longer.
PATIENCE_S = 2.0
_AGAIN_S = 1.0  # between two tries of what cannot be resolved
_MOST_AT_ONCE = 32
_MOST_CHARACTERS = 253

# RFC 1123, 2.1, and the underscore, which names of containers have.
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
# Resolvers take 10.1 and 0x7f000001 for addresses (inet_aton(3)).
_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$")


def host_name(text: str) -> str | None:
    """The name in lower case; None where it is none, or what a resolver could take for a number."""
    if not text.isascii() or len(text) > _MOST_CHARACTERS:
        return None
    name = text.lower()
    return name if _NAME.fullmatch(name) and not _NUMBER.search(name) else None


def look_up(name: str) -> list[str]:
    """As this system resolves names; IPv4 first. Raises `OSError`."""
    found = socket.getaddrinfo(name.encode(), None, type=socket.SOCK_STREAM)
    addresses = [str(place[0]) for *_, place in sorted(found, key=lambda each: each[0])]
    usable = [each for each in addresses if "%" not in each]  # good on one link only
    if not usable:
        raise OSError(0, "it has link-local addresses only")
    return usable


class Names:
    """Where hosts are. An address stays for as long as no other is found, so that a name service
    that is away changes nothing; of several, the one that was there before.

    ``known``: what an earlier life found. ``news`` is called whenever an address, or whether a name
    can be resolved, changes. ``failing``: why the last look-up of a name was in vain.
    """

    def __init__(
        self,
        known: Mapping[str, str],
        every_s: float,
        clock: Clock,
        news: Callable[[], None],
        lookup: Lookup = look_up,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._addresses = dict(known)
        self._every_s = every_s
        self._clock = clock
        self._news = news
        self._lookup = lookup
        self._patience_s = patience_s
        self._wanted: dict[str, int] = {}
        self._waiting: dict[str, None] = {}
        self._asked: set[str] = set()
        self._landed = asyncio.Event()
        self.failing: dict[str, str] = {}

    def address(self, name: str) -> str:
        """The last good one; "" where there never was one."""
        return self._addresses.get(name, "")

    async def settle(self, wanted: Mapping[str, int]) -> None:
        """Follow these names and no others. Those that are new, or stand in a record of another
        revision than before, are looked up: returns once they were, or after a moment."""
        fresh = {name for name, revision in wanted.items() if self._wanted.get(name) != revision}
        self._wanted = dict(wanted)
        for kept in (self._addresses, self.failing, self._waiting):
            for name in kept.keys() - wanted.keys():
                del kept[name]
        self._ask_about(sorted(fresh))
        try:
            async with asyncio.timeout(self._patience_s):
                while fresh & (self._waiting.keys() | self._asked):
                    await self._landed.wait()
        except TimeoutError:
            for name in sorted(fresh & (self._waiting.keys() | self._asked)):
                self._note(name, (), f"no answer within {self._patience_s:g} s")

    async def run(self) -> NoReturn:
        """Look up all of them every so often, and those that fail more often, until cancelled."""
        next_at = self._clock.elapsed() + self._every_s
        while True:
            await self._clock.sleep(min(_AGAIN_S, self._every_s))
            everybody = self._clock.elapsed() >= next_at
            if everybody:
                next_at = self._clock.elapsed() + self._every_s
            due = self._wanted if everybody else self.failing
            self._ask_about([name for name in due if name not in self._asked])

    def _ask_about(self, names: Sequence[str]) -> None:
        """In threads, which nobody has to wait for: a look-up cannot be cancelled."""
        self._waiting.update(dict.fromkeys(names))
        loop = asyncio.get_running_loop()
        while len(self._asked) < _MOST_AT_ONCE:
            name = next((each for each in self._waiting if each not in self._asked), None)
            if name is None:
                return
            del self._waiting[name]
            self._asked.add(name)
            Thread(target=self._ask, args=(name, loop), name=f"name {name}", daemon=True).start()

    def _ask(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        found: Sequence[str] = ()
        why = ""
        try:
            found = self._lookup(name)
        except OSError as error:
            why = error.strerror or str(error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._take, name, found, why)

    def _take(self, name: str, found: Sequence[str], why: str) -> None:
        self._asked.discard(name)
        if name in self._wanted:
            self._note(name, found, why)
        self._ask_about(())
        self._landed.set()
        self._landed = asyncio.Event()

    def _note(self, name: str, found: Sequence[str], why: str) -> None:
        before, failed = self.address(name), self.failing.pop(name, "")
        if found and before not in found:
            self._addresses[name] = found[0]
            log.info("name resolved", name=name, address=found[0], before=before or None)
        if why:
            self.failing[name] = why
        if why and why != failed:
            log.warning("name not resolved", name=name, why=why, goes_by=before or None)
        if self.address(name) != before or bool(why) != bool(failed):
            self._news()
