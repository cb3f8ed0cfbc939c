"""The cluster at one glance, over HTTP: who leads, how much there is, what is wrong in words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from crawler.clock import Clock, SystemClock
from crawler.errors import StoreUnavailable
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, Progress, State
from crawler.rpc.calls import MasterCalls
from crawler.rpc.pb import control_pb2 as control
from crawler.telemetry.health import Health
from crawler.web.models import Given, Nothing
from crawler.web.route import LOOKS, Answer, AnyRoute, Asked, Route

KEPT_S = 1.5  # an answer is everybody's for so long: it costs a look at every resource
MOST = 20  # of one kind that are named
LOOKED_AT = 1000  # resources of a state, for their reasons


class Weight(StrEnum):
    """How much it matters."""

    ERROR = "error"  # somebody must do something
    WARNING = "warning"  # it goes on, but not as wanted
    NOTE = "note"  # worth knowing


_STUCK = {
    State.ERROR: Weight.ERROR,
    State.PENDING: Weight.WARNING,
    State.ASSIGNED: Weight.WARNING,
}
_NOTHING_TO_DO = "no definition"  # whoever is assigned otherwise begins in a moment


class Wrong(Given):
    """One thing that is wrong. ``about``: cluster, node or resource, which ``name`` names; ``more``
    others are alike and not named (of the first thousand in that state)."""

    weight: Weight
    about: str
    name: str
    words: str
    more: int = 0


class Failing(Given):
    """A resource with failed pages in its latest run."""

    name: str
    failed: int
    known: int


class Totals(Given):
    """Sums over the latest runs of all resources, which rise and fall with them."""

    known: int
    done: int
    failed: int
    pending: int
    excluded: int
    items: int
    fetched_bytes: int


class OverviewAnswer(Given):
    """``leader`` is a node id, "" while none leads. ``states``: how many resources are in each.
    ``totals`` null: the store cannot be read. ``failing``: the resources with the most failed
    pages, at most twenty."""

    leader: str
    masters: int
    workers: int
    states: dict[State, int]
    totals: Totals | None
    failing: tuple[Failing, ...]
    wrong: tuple[Wrong, ...]


class Sums(Protocol):
    """Where figures are read; both methods raise `StoreUnavailable`."""

    async def totals(self) -> Progress:
        """The sums over the latest runs of all resources."""

    async def failing(self, limit: int) -> Sequence[tuple[str, int, int]]:
        """Name, failed and known pages of those with the most failed ones."""


@dataclass(slots=True)
class Overview:
    """Asked by every browser again and again, it looks once and tells all."""

    calls: MasterCalls
    sums: Sums
    health: Health
    clock: Clock = field(default_factory=SystemClock)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _kept: tuple[float, OverviewAnswer] | None = None

    def routes(self) -> tuple[AnyRoute, ...]:
        """The only door."""
        return (
            Route(
                "GET", "/crawler/overview", "Show the cluster at a glance, and what is wrong",
                self.show, Nothing, Nothing, OverviewAnswer, fails=LOOKS,
            ),
        )  # fmt: skip

    async def show(self, asked: Asked[Nothing, Nothing]) -> Answer:
        del asked
        async with self._lock:
            now = self.clock.elapsed()
            if self._kept is None or self._kept[0] < now - KEPT_S:
                self._kept = (now, await self._look())
            return Answer(self._kept[1])

    async def _look(self) -> OverviewAnswer:
        nodes = (await self.calls.list_nodes()).nodes
        stuck = {state: await self._those(state) for state in _STUCK}
        wrong = [*self._of_nodes(nodes)]
        for state, listed in stuck.items():
            wrong += _of_resources(state, listed.resources)
        report = await self.health.report()
        wrong += [
            Wrong(weight=Weight.ERROR, about="cluster", name=each.name, words=each.words)
            for each in report.checks
            if not each.ok
        ]
        totals: Totals | None = None
        failing: tuple[Failing, ...] = ()
        try:
            totals = _totals(await self.sums.totals())
            failing = tuple(
                Failing(name=name, failed=failed, known=known)
                for name, failed, known in await self.sums.failing(MOST)
            )
        except StoreUnavailable as error:
            wrong.append(
                Wrong(weight=Weight.ERROR, about="cluster", name="store", words=str(error))
            )
        return OverviewAnswer(
            leader=next((node.id for node in nodes if node.leader), ""),
            masters=sum(node.service == MASTER_SERVICE for node in nodes),
            workers=sum(node.service == WORKER_SERVICE for node in nodes),
            states={State(state): n for state, n in stuck[State.ERROR].totals.items()},
            totals=totals,
            failing=failing,
            wrong=tuple(sorted(wrong, key=lambda each: list(Weight).index(each.weight))),
        )

    async def _those(self, state: State) -> control.ResourceList:
        """The first resources in that state, and how many are in each."""
        return await self.calls.list_resources(control.ListRequest(state=state, limit=LOOKED_AT))

    def _of_nodes(self, nodes: Sequence[control.NodeView]) -> Iterator[Wrong]:
        workers = [node for node in nodes if node.service == WORKER_SERVICE]
        if not workers:
            words = "no worker is up, so that nothing is crawled; start one: crawler worker"
            yield Wrong(weight=Weight.ERROR, about="cluster", name="workers", words=words)
        if not any(node.leader for node in nodes):
            words = "no master leads just now, so that nothing can be changed"
            yield Wrong(weight=Weight.ERROR, about="cluster", name="leader", words=words)
        for node in nodes:
            if node.trouble:
                yield Wrong(weight=Weight.ERROR, about="node", name=node.id, words=node.trouble)
            if node.unsigned:
                words = "its record is not signed by this cluster's secret, so it is given nothing"
                yield Wrong(weight=Weight.WARNING, about="node", name=node.id, words=words)
            if node.drained:
                words = "it is drained: it has no work and gets none until that is undone"
                yield Wrong(weight=Weight.NOTE, about="node", name=node.id, words=words)


def _of_resources(state: State, views: Sequence[control.ResourceView]) -> Iterator[Wrong]:
    """Those that cannot go on, or wait, by their reason: the most frequent first."""
    groups: dict[str, list[str]] = {}
    for view in views:
        if state is not State.ASSIGNED or view.reason == _NOTHING_TO_DO:
            groups.setdefault(view.reason, []).append(view.name)
    for reason, names in sorted(groups.items(), key=lambda each: -len(each[1]))[:MOST]:
        yield Wrong(
            weight=_STUCK[state],
            about="resource",
            name=names[0],
            words=reason or f"it is {state}",
            more=len(names) - 1,
        )


def _totals(sums: Progress) -> Totals:
    return Totals(
        known=sums.known,
        done=sums.done,
        failed=sums.failed,
        pending=sums.pending,
        excluded=sums.excluded,
        items=sums.items,
        fetched_bytes=sums.fetched_bytes,
    )
