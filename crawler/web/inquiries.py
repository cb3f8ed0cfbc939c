"""What became of one URL, and why pages failed, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from crawler.errors import InvalidInput
from crawler.model import check_name
from crawler.rpc.calls import MasterCalls
from crawler.rpc.pb import control_pb2 as control
from crawler.story import Reason, Story, never_heard
from crawler.web.models import Given, Nothing, Taken
from crawler.web.resources import ONE
from crawler.web.route import LOOKS_AT_ONE, Answer, AnyRoute, Asked, Route

Fingerprint = Callable[[str, str], bytes]


class UrlQuery(Taken):
    """A URL as people know it, or the ``key`` of a page that a list told."""

    url: str = Field("", max_length=2000, description="of longer ones the key")
    key: str = Field("", pattern="^([0-9a-f]{32})?$")
    run: int | None = Field(None, ge=1, lt=2**31, description="the latest unless said")


class RunChoice(Taken):
    run: int | None = Field(None, ge=1, lt=2**31, description="the latest unless said")


class StoryAnswer(Given):
    """What a run knows of one URL: from how it was found to what it brought."""

    story: Story


class ReasonList(Given):
    """The most frequent first; of very many pages of a state the first are counted."""

    reasons: tuple[Reason, ...]


class Stories(Protocol):
    """Where it is read; all methods raise `StoreUnavailable`, and `NotFound` for a run that there
    is not."""

    async def story(
        self, resource_id: str, fingerprint: bytes, *, run: int | None = None
    ) -> Story | None:
        """What a run (None: the latest) knows of one page; None: it never heard of it."""

    async def reasons(self, resource_id: str, *, run: int | None = None) -> Sequence[Reason]:
        """Why pages failed or were excluded."""


@dataclass(frozen=True, slots=True)
class Inquiries:
    """``fingerprint`` tells what a page is kept under, by method and URL; it raises `InvalidInput`
    for what is no URL."""

    calls: MasterCalls
    stories: Stories
    fingerprint: Fingerprint

    def routes(self) -> tuple[AnyRoute, ...]:
        """Both doors."""
        return (
            Route(
                "GET", f"{ONE}/url", "Tell what became of one URL, from discovery to items",
                self.tell, Nothing, UrlQuery, StoryAnswer, check=check_name, fails=LOOKS_AT_ONE,
            ),
            Route(
                "GET", f"{ONE}/reasons", "Why pages of a run failed or were excluded, counted",
                self.count, Nothing, RunChoice, ReasonList, check=check_name, fails=LOOKS_AT_ONE,
            ),
        )  # fmt: skip

    async def tell(self, asked: Asked[Nothing, UrlQuery]) -> Answer:
        query = asked.query
        if bool(query.url) is bool(query.key):
            raise InvalidInput("url: give a url, or the key of a page, and not both", field="url")
        key = bytes.fromhex(query.key) if query.key else self.fingerprint("GET", query.url)
        story = await self.stories.story(await self._id(asked.name), key, run=query.run)
        if story is None:
            raise never_heard(query.run)
        return Answer(StoryAnswer(story=story))

    async def count(self, asked: Asked[Nothing, RunChoice]) -> Answer:
        found = await self.stories.reasons(await self._id(asked.name), run=asked.query.run)
        return Answer(ReasonList(reasons=tuple(found)))

    async def _id(self, name: str) -> str:
        view = await self.calls.get_resource(control.NameRequest(name=name))
        return view.id
