"""The greeting of every node over HTTP."""

from __future__ import annotations

from crawler.access import Role
from crawler.rpc.greeting import greet
from crawler.web.models import Greeted, Greeting, Nothing
from crawler.web.route import Answer, AnyRoute, Asked, Route


async def hello(asked: Asked[Greeting, Nothing]) -> Answer:
    return Answer(Greeted(greeting=greet(asked.body.name)))


def routes() -> tuple[AnyRoute, ...]:
    """The one door of it."""
    return (
        Route(
            "POST", "/greeter/hello", "Greet", hello,
            Greeting, Nothing, Greeted, role=Role.READ,
        ),
    )  # fmt: skip
