"""How a crawl goes at this moment, as the workers tell that crawl it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crawler.errors import CrawlerError
from crawler.model import HostWait, LiveRecord, check_name, unit_name
from crawler.rpc.calls import Channels, MasterCalls, WorkerCalls
from crawler.rpc.pb import control_pb2 as control
from crawler.rpc.pb import worker_pb2 as worker
from crawler.web.models import Live, LiveList, Nothing
from crawler.web.resources import ONE
from crawler.web.route import LOOKS_AT_ONE, Answer, AnyRoute, Asked, Route

ANSWER_S = 2.0  # a worker that is paused or gone keeps nobody waiting


@dataclass(frozen=True, slots=True)
class Lives:
    """Who crawls what is asked of this master's own gRPC, the rest of the workers themselves."""

    calls: MasterCalls
    workers: Callable[[], Channels]

    def routes(self) -> tuple[AnyRoute, ...]:
        """The only door."""
        return (
            Route(
                "GET", ONE + "/live", "Show how it goes at this moment, and which hosts wait why",
                self.show, Nothing, Nothing, LiveList, check=check_name, fails=LOOKS_AT_ONE,
            ),
        )  # fmt: skip

    async def show(self, asked: Asked[Nothing, Nothing]) -> Answer:
        view = await self.calls.get_resource(control.NameRequest(name=asked.name))
        channels = self.workers()
        try:
            parts = await asyncio.gather(*(_ask(channels, *each) for each in owned_by(view)))
        finally:
            await channels.close()
        return Answer(LiveList(parts=tuple(parts)))


def owned_by(view: control.ResourceView) -> Iterator[tuple[int, str, str, str]]:
    """The parts that somebody has: number, unit, node and address."""
    if not view.parts and view.assigned_node:
        yield 0, view.name, view.assigned_node, view.address
    for number, part in enumerate(view.parts):
        if part.assigned_node:
            yield number, unit_name(view.name, number), part.assigned_node, part.address


async def _ask(channels: Channels, part: int, unit: str, node: str, address: str) -> Live:
    try:
        calls = WorkerCalls(channels, address)
        found = await calls.get_live(worker.UnitRequest(unit=unit), timeout_s=ANSWER_S)
    except CrawlerError as error:
        return Live(part=part, node=node, trouble=str(error), live=None)
    hosts = tuple(HostWait(each.host, each.queued, each.reason) for each in found.hosts)
    live = LiveRecord(found.active, found.pages_per_s, found.waiting, hosts, found.latency_s)
    return Live(part=part, node=node, trouble="", live=live)
