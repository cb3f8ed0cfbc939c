"""Writing a definition, over HTTP: checked line by line, tried on a page, begun from a URL."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import Field, StrictStr

from crawler.access import Role
from crawler.definition import (
    MAX_DEFINITION_BYTES,
    Definition,
    InvalidDefinition,
    doubts,
    load_text,
)
from crawler.errors import Unavailable
from crawler.model import WORKER_SERVICE
from crawler.rpc.calls import Channels, MasterCalls, WorkerCalls
from crawler.rpc.pb import control_pb2 as control
from crawler.rpc.pb import worker_pb2 as worker
from crawler.web.models import Given, Nothing, Taken
from crawler.web.route import LOOKS, Answer, AnyRoute, Asked, Route

T = TypeVar("T")

LOOK_S = 55.0  # a worker gives up before
MAX_ASKED = 3  # workers, one after the other, where they cannot be reached


class DefinitionText(Taken):
    """A definition as people write it."""

    text: StrictStr = Field(max_length=MAX_DEFINITION_BYTES, description="TOML, or JSON")


class Trial(DefinitionText):
    """A definition, and a page to try it on."""

    url: StrictStr = Field(min_length=1, max_length=8192)
    rule: StrictStr = Field(
        "", max_length=256, description="where a link would have sent it; the first that fits"
    )


class PageUrl(Taken):
    """A page of a site that is to be crawled."""

    url: StrictStr = Field(min_length=1, max_length=8192)


class ProblemFound(Given):
    """One thing that is wrong. ``line`` counts from 1; 0: not known, as an empty ``field`` is."""

    field: str
    line: int
    message: str


class Verdict(Given):
    """What a check says. ``definition`` is what would be stored, null where it is refused;
    ``doubts`` are about what is allowed and hardly meant."""

    ok: bool
    problems: tuple[ProblemFound, ...]
    doubts: tuple[str, ...]
    definition: dict[str, Any] | None


class FieldFound(Given):
    """How one field came about. ``match`` counts the matches of ``each`` from 1; null: it is about
    the whole page."""

    field: str
    match: int | None
    value: Any
    matched: int
    selector: str
    problem: str


class LinkFound(Given):
    """A link that would be followed."""

    url: str
    to: str | None
    method: str
    body: str | None
    carry: dict[str, Any]


class ItemFound(Given):
    """An item that would be kept."""

    rule: str
    fields: dict[str, Any]
    missing: tuple[str, ...]


class Found(Given):
    """What a definition makes of a page. ``rule`` null: none takes it. The counts are of all that
    there is, the lists hold the first of it. ``unfinished``: an item that goes on on the next
    page."""

    rule: str | None
    items: tuple[ItemFound, ...]
    item_count: int
    links: tuple[LinkFound, ...]
    link_count: int
    unfinished: dict[str, Any] | None
    errors: tuple[str, ...]
    fields: tuple[FieldFound, ...]


class Starter(Given):
    """A first definition, guessed from one page."""

    text: str


@dataclass(frozen=True, slots=True)
class Definitions:
    """Checks are made here; pages are looked at by a worker, whose guard of addresses decides."""

    calls: MasterCalls
    workers: Callable[[], Channels]

    def routes(self) -> tuple[AnyRoute, ...]:
        """All doors to definitions that are no resource's yet."""
        return (
            Route(
                "POST", "/crawler/check", "Check a definition: problems by field and line",
                self.check, DefinitionText, Nothing, Verdict, role=Role.READ,
            ),
            Route(
                "POST", "/crawler/try", "Fetch one page and show what each rule yields",
                self.try_page, Trial, Nothing, Found, fails=LOOKS,
            ),
            Route(
                "POST", "/crawler/starter", "Guess a first definition from a page of a site",
                self.propose, PageUrl, Nothing, Starter, fails=LOOKS,
            ),
        )  # fmt: skip

    async def check(self, asked: Asked[DefinitionText, Nothing]) -> Answer:
        try:
            definition = load_text(asked.body.text, source="")
        except InvalidDefinition as error:
            problems = tuple(
                ProblemFound(field=each.field, line=each.line, message=each.message)
                for each in error.problems
            )
            return Answer(Verdict(ok=False, problems=problems, doubts=(), definition=None))
        stored = json.loads(definition.canonical())
        return Answer(Verdict(ok=True, problems=(), doubts=doubts(definition), definition=stored))

    async def try_page(self, asked: Asked[Trial, Nothing]) -> Answer:
        definition: Definition = load_text(asked.body.text, source="")
        request = worker.TryRequest(
            definition_json=definition.canonical(), url=asked.body.url, rule=asked.body.rule
        )
        reply = await self._ask(lambda calls: calls.try_page(request, timeout_s=LOOK_S))
        return Answer(Found.model_validate_json(reply.found_json))

    async def propose(self, asked: Asked[PageUrl, Nothing]) -> Answer:
        request = worker.ProposeRequest(url=asked.body.url)
        reply = await self._ask(lambda calls: calls.propose_definition(request, timeout_s=LOOK_S))
        return Answer(Starter(text=reply.definition_toml))

    async def _ask(self, call: Callable[[WorkerCalls], Awaitable[T]]) -> T:
        """The answer of the first worker that can be reached, the idlest first."""
        listed = await self.calls.list_nodes()
        able = sorted(filter(_able, listed.nodes), key=lambda node: (node.drained, node.active))
        refusal = Unavailable("no worker is up that could fetch a page; start one and try again")
        channels = self.workers()
        try:
            for node in able[:MAX_ASKED]:
                try:
                    return await call(WorkerCalls(channels, node.address))
                except Unavailable as error:
                    refusal = error
        finally:
            await channels.close()
        raise refusal


def _able(node: control.NodeView) -> bool:
    """Whether it is a worker of ours that may be asked."""
    return node.service == WORKER_SERVICE and node.native and not node.unsigned
