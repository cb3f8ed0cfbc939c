"""A master's part in the cluster: stand for election, lead while elected, and stand again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import structlog

from crawler.clock import Backoff, Clock
from crawler.coordination.catalog import Catalog
from crawler.coordination.election import Election
from crawler.coordination.etcd import Etcd
from crawler.coordination.instances import claim_instance
from crawler.coordination.session import Session
from crawler.errors import Compacted, Exhausted, NoLeader, OutcomeUnknown, TermLost, Unavailable
from crawler.failpoint import hit
from crawler.master.fence import Fence
from crawler.master.leader import Leader
from crawler.master.office import Office
from crawler.tasks import TaskGroup, bounded, leaves, start_loop

log = structlog.get_logger(__name__)

WAIT_S = 1.0  # how long a call waits for an election to end
DRAIN_S = 0.4  # calls that are being carried out may end before the office is given up
RESIGN_S = 0.5

T = TypeVar("T")
_BACKOFF = Backoff(base_s=0.05, cap_s=0.5)


class Master:
    """One master process; `run` it once per session, one after the other."""

    def __init__(self, etcd: Etcd, catalog: Catalog, fence: Fence, clock: Clock) -> None:
        self.etcd = etcd
        self.catalog = catalog
        self._fence = fence
        self._clock = clock
        self._session: Session | None = None
        self._leader: Leader | None = None
        self._calls = 0
        self._asked = asyncio.Event()  # to step down
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, session: Session, election: Election) -> NoReturn:
        """Campaign, lead, campaign again. Ends by cancellation, which resigns first so that
        another leads at once, or by an error that a new session or its user must see to."""
        self._session = session
        try:
            instance = await self._persist(lambda: claim_instance(self.etcd, session))
            while True:
                term = await self._persist(election.campaign)
                await hit("master.after_campaign")
                office = Office(self.etcd, self.catalog, session, term, self._clock)
                await self._lead(office, election, instance)
        finally:
            self._session = None

    async def _persist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Try until it succeeds: the session says when that is no use any more."""
        for delay_s in _BACKOFF.delays():
            try:
                return await step()
            except (Unavailable, OutcomeUnknown, TermLost, Compacted, Exhausted) as error:
                log.warning("the election is held up", error=str(error))
            await self._clock.sleep(delay_s)
        raise AssertionError("delays have no end")

    def leading(self) -> Leader | None:
        """The term under which calls can be carried out now. Not once the lease may have run
        out, whether or not etcd has said so."""
        leader, session = self._leader, self._session
        if leader is None or session is None or not leader.ready.is_set():
            return None
        return leader if session.remaining() > 0 else None

    async def route(self, *, forward: bool) -> Leader | str:
        """Whoever is to carry out a write: this master's own term, or (only if ``forward``) the
        address of the master that leads. Raises `NoLeader` after a short wait."""
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    version = self.catalog.version
                    found = self.leading() or (self._elsewhere() if forward else None)
                    if found is not None:
                        return found
                    await self._turn(version)
        except TimeoutError:
            raise NoLeader("no master leads at the moment; try again in a few seconds") from None

    def step_down(self, leader: Leader) -> None:
        """End this term soon, by resigning; a term that is over already is none to end."""
        if leader is self._leader:
            self._asked.set()

    @contextmanager
    def carry_out(self) -> Iterator[None]:
        """Note that a call is being carried out: a clean stop waits for it, a little."""
        self._calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    def _elsewhere(self) -> str | None:
        """The address of another master that leads. Without a session, what the catalog knows
        may be of the time before it was lost, when this very master led."""
        known, session = self.catalog.leader, self._session
        if known is None or session is None or not known.address:
            return None
        return None if known.key.endswith(f"/{session.lease:x}") else known.address

    async def _turn(self, version: int) -> None:
        """Wait until there may be another answer: the take-over is done, or etcd has news."""
        if self._leader is not None and not self._leader.ready.is_set():
            await self._leader.ready.wait()
        else:
            await self.catalog.changed(version)

    async def _lead(self, office: Office, election: Election, instance: int) -> None:
        leader = self._leader = Leader(office, self._fence, instance)
        self._asked.clear()
        try:
            async with TaskGroup() as group:
                start_loop(group, "watch own term", self._watch_own(office, election))
                start_loop(group, "step down", self._await_request())
                start_loop(group, "leader", leader.run())
        except BaseExceptionGroup as group:
            errors = list(leaves(group))
            for error in errors:
                if not isinstance(error, TermLost):
                    raise error from group
            log.warning("no longer leading", reason=str(errors[0]), term=office.term.revision)
        finally:
            self._leader = None
            try:
                await bounded(self._idle.wait(), DRAIN_S, "calls under way")
            finally:
                await bounded(election.resign(office.term), RESIGN_S, "resign")

    async def _await_request(self) -> NoReturn:
        """End with `TermLost` when somebody asks this master to step down."""
        await self._asked.wait()
        raise TermLost("it was asked to step down")

    async def _watch_own(self, office: Office, election: Election) -> NoReturn:
        """End with `TermLost`; while etcd is away, the term lasts as long as the lease may."""
        while True:
            try:
                await election.watch_own(office.term)
            except (Unavailable, Compacted) as error:
                office.check()
                log.warning("cannot watch the election", error=str(error))
                await self._clock.sleep(_BACKOFF.cap_s)
