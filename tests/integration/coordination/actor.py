"""A process of the coordination layer on a host of its own: it tells what it meets.

``actor.py ETCD_URL[,URL] ROLE [ARGUMENT…]``; each line of its output is a JSON object with the
boot time, ``what`` was met and the details. Roles, one per method of `Actor`:

- ``watch START``: every event below ``/w/``
- ``sessions TTL COUNT``: so many sessions at a time, each followed by another when it is lost
- ``candidate NAME TTL``: a candidacy per session; while it leads it writes its name, fenced
- ``reader KEY``: one linearizable read after the other
- ``writer KEY``: one transaction after the other, each with a number of its own
- ``catalog``: the names of all resources, whenever they change
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from typing import NoReturn

import structlog

from crawler.clock import SystemClock
from crawler.coordination.catalog import Catalog
from crawler.coordination.election import DEFAULT_PREFIX, Election, Term, election_value
from crawler.coordination.etcd import Etcd, EtcdSettings, put
from crawler.coordination.session import Session, open_session
from crawler.errors import CrawlerError, SessionLost, TermLost
from crawler.tasks import leaves

PAUSE_S = 0.1


class Actor:
    """The roles."""

    def __init__(self, etcd: Etcd, clock: SystemClock) -> None:
        self._etcd = etcd
        self._clock = clock

    def tell(self, what: str, **details: object) -> None:
        print(json.dumps({"at": self._clock.elapsed(), "what": what, **details}), flush=True)

    async def watch(self, start: str) -> None:
        async with aclosing(self._etcd.watch("/w/", "/w0", int(start))) as batches:
            async for batch in batches:
                for event in batch:
                    self.tell("event", key=event.kv.key, revision=event.kv.mod_revision)

    async def sessions(self, ttl_s: str, count: str) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(int(count)):
                group.create_task(self._sessions(number, int(ttl_s)))

    async def candidate(self, name: str, ttl_s: str) -> NoReturn:
        while True:
            try:
                async with (
                    open_session(self._etcd, int(ttl_s), self._clock) as session,
                    asyncio.TaskGroup() as group,
                ):
                    self.tell("opened", lease=f"{session.lease:x}")
                    group.create_task(session.run())
                    group.create_task(self._campaign(session, name))
            except (CrawlerError, ExceptionGroup) as error:
                self.tell("over", why=[type(each).__name__ for each in leaves(error)])
            await asyncio.sleep(PAUSE_S)

    async def reader(self, key: str) -> NoReturn:
        while True:
            began = self._clock.elapsed()
            try:
                kv = await self._etcd.get(key)
                self.tell("read", began=began, value=kv.value.decode() if kv else None)
            except CrawlerError as error:
                self.tell("failed", began=began, why=type(error).__name__)
            await asyncio.sleep(PAUSE_S)

    async def writer(self, key: str) -> NoReturn:
        number = 0
        while True:
            began, number = self._clock.elapsed(), number + 1
            try:
                await self._etcd.txn([], [put(f"{key}/{number}", b"")])
                self.tell("wrote", began=began, number=number)
            except CrawlerError as error:
                self.tell("failed", began=began, number=number, why=type(error).__name__)
            await asyncio.sleep(PAUSE_S)

    async def catalog(self) -> None:
        catalog = Catalog(self._etcd, self._clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(catalog.run())
            version = -1
            while True:
                version = await catalog.changed(version)
                self.tell("knows", names=sorted(catalog.entries))

    async def _sessions(self, number: int, ttl_s: int) -> NoReturn:
        while True:
            try:
                async with open_session(self._etcd, ttl_s, self._clock) as session:
                    self.tell("opened", number=number, lease=f"{session.lease:x}")
                    try:
                        await session.run()
                    except SessionLost as loss:
                        self.tell("lost", number=number, why=str(loss))
            except CrawlerError as error:
                self.tell("failed", number=number, why=str(error))
            await asyncio.sleep(PAUSE_S)

    async def _campaign(self, session: Session, name: str) -> None:
        value = election_value(name, "10.99.0.1:9091")
        election = Election(self._etcd, session, DEFAULT_PREFIX, value)
        while True:
            term = await election.campaign()
            self.tell("elected", term=term.revision)
            async with asyncio.TaskGroup() as group:
                group.create_task(election.watch_own(term))
                group.create_task(self._rule(session, term, name))
                group.create_task(self._believe(session))

    async def _believe(self, session: Session) -> None:
        while session.remaining() > 0:
            self.tell("believes")
            await asyncio.sleep(PAUSE_S / 2)

    async def _rule(self, session: Session, term: Term, name: str) -> None:
        """Write as a leader does as long as the session may be believed in."""
        while session.remaining() > 0:
            try:
                done = await self._etcd.txn([term.holds()], [put("/ruler", name.encode())])
            except CrawlerError as error:
                self.tell("failed", why=type(error).__name__)
            else:
                if not done.succeeded:
                    raise TermLost("refused")
            await asyncio.sleep(PAUSE_S)


async def main(urls: str, role: str, *arguments: str) -> None:
    clock = SystemClock()
    etcd = Etcd(EtcdSettings(tuple(urls.split(","))), clock)
    actor = Actor(etcd, clock)
    actor.tell("ready")
    try:
        await getattr(actor, role)(*arguments)
    except CrawlerError as error:
        actor.tell("ended", why=type(error).__name__)
    await etcd.close()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(*sys.argv[1:]))
