"""How a worker's crawls go, for whoever may read."""

from __future__ import annotations

from collections.abc import Callable

from crawler.errors import NotFound
from crawler.model import LiveRecord
from crawler.rpc.incoming import Context
from crawler.rpc.pb import worker_pb2, worker_pb2_grpc


class Lives(worker_pb2_grpc.CrawlerWorkerServicer):
    """The servicer that every worker offers. ``look`` tells of a unit that runs here."""

    def __init__(self, look: Callable[[str], LiveRecord | None]) -> None:
        self._look = look

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
            hosts=[
                worker_pb2.HostView(host=each.host, queued=each.queued, reason=each.reason)
                for each in live.hosts
            ],
        )
