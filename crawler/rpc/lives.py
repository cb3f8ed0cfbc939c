"""What a worker tells: how its crawls go, and what a definition makes of a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from crawler.errors import NotFound
from crawler.model import LiveRecord
from crawler.rpc.incoming import Context
from crawler.rpc.pb import worker_pb2, worker_pb2_grpc


class Trials(Protocol):
    """Looks at pages for people who write a definition; nothing is kept. `Exhausted` where too many
    ask at once, `InvalidInput` for what is no URL or no definition."""

    async def try_page(self, definition: str, url: str, rule: str) -> str:
        """What it makes of the page, as a JSON object."""

    async def propose(self, url: str) -> str:
        """A first definition in TOML, from one page; `InvalidInput` where it cannot be had."""


class Lives(worker_pb2_grpc.CrawlerWorkerServicer):
    """The servicer that every worker offers. ``look`` tells of a unit that runs here."""

    def __init__(self, look: Callable[[str], LiveRecord | None], trials: Trials) -> None:
        self._look = look
        self._trials = trials

    async def GetLive(  # noqa: N802 -- the wire's name
        self, request: worker_pb2.UnitRequest, context: Context
    ) -> worker_pb2.LiveView:
        del context
        live = self._look(request.unit)
        if live is None:
            raise NotFound(f"{request.unit[:300]} does not run here")
        return worker_pb2.LiveView(
            active=live.active,
            pages_per_s=live.pages_per_s,
            waiting=live.waiting,
            latency_s=live.latency_s,
            hosts=[
                worker_pb2.HostView(host=each.host, queued=each.queued, reason=each.reason)
                for each in live.hosts
            ],
        )

    async def TryPage(  # noqa: N802 -- the wire's name
        self, request: worker_pb2.TryRequest, context: Context
    ) -> worker_pb2.TryReply:
        del context
        found = await self._trials.try_page(request.definition_json, request.url, request.rule)
        return worker_pb2.TryReply(found_json=found)

    async def ProposeDefinition(  # noqa: N802 -- the wire's name
        self, request: worker_pb2.ProposeRequest, context: Context
    ) -> worker_pb2.ProposeReply:
        del context
        return worker_pb2.ProposeReply(definition_toml=await self._trials.propose(request.url))
