"""Is this process alive, is it ready, what are its figures: for probes and for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from crawler.access import Access, acting_for
from crawler.telemetry.health import Health
from crawler.telemetry.metrics import exposition
from crawler.web.models import Alive, Checked, Nothing, Ready
from crawler.web.route import Answer, AnyRoute, Asked, Route

OPEN = frozenset({"/healthz", "/readyz"})  # load balancers have no tokens


@dataclass(frozen=True, slots=True)
class Probes:
    """Alive: the loop runs. Ready: every check of the process says so, otherwise 503; what each
    of them says is for callers who said who they are, where these are asked."""

    health: Health
    access: Access

    def routes(self) -> tuple[AnyRoute, ...]:
        """Both probes; `metrics` is no JSON and stands apart."""
        return (
            Route("GET", "/healthz", "Is it alive?", self.alive, Nothing, Nothing, Alive),
            Route(
                "GET", "/readyz", "Is it ready?", self.ready, Nothing, Nothing, Ready, (200, 503),
            ),
        )  # fmt: skip

    async def alive(self, asked: Asked[Nothing, Nothing]) -> Answer:
        del asked
        return Answer(Alive(ok=True))

    async def ready(self, asked: Asked[Nothing, Nothing]) -> Answer:
        del asked
        report = await self.health.report()
        shown = report.checks if not self.access.closed or acting_for.get() else ()
        checks = {each.name: Checked(ok=each.ok, words=each.words) for each in shown}
        return Answer(Ready(ok=report.ok, checks=checks), 200 if report.ok else 503)


async def in_words(health: Health, request: web.Request) -> web.Response:
    """For people: what is wrong with this node and what it sees, and what to do about it; 503 while
    it is not ready."""
    del request
    report = await health.report(everything=True)
    return web.Response(text=report.as_text(), status=200 if report.ok else 503)


async def metrics(request: web.Request) -> web.Response:
    """All figures of this process in the Prometheus text format."""
    del request
    body, content_type = exposition()
    return web.Response(body=body, headers={"Content-Type": content_type})
