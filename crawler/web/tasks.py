"""Tasks over HTTP: the resources that fetch one page, under what their creators call them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from crawler.definition.tasks import task_of
from crawler.errors import NotFound
from crawler.model import State
from crawler.rpc.calls import MasterCalls
from crawler.rpc.pb import control_pb2 as control
from crawler.web.models import CURSOR, NEXT, Counters, Given, Nothing, Taken
from crawler.web.resources import Counts, counters
from crawler.web.route import LOOKS, Answer, AnyRoute, Asked, Route

LARGEST = 100  # as each is asked for by itself


class TaskQuery(Taken):
    cursor: str = Field("", max_length=32, pattern="^[0-9]*$", description=CURSOR)
    limit: int = Field(50, ge=1, le=LARGEST)


class TaskView(Given):
    """A task. ``id`` is its resource's name; ``progress`` is null before it has begun, and where
    the store cannot tell."""

    id: str
    name: str
    type: str
    target: str
    state: State
    reason: str
    progress: Counters | None


class TaskList(Given):
    """The latest first."""

    tasks: tuple[TaskView, ...]
    next: str = Field(description=NEXT)


class Kept(Counts, Protocol):
    """Where tasks are found."""

    async def tasks(self, *, before: str = "", limit: int = 100) -> Sequence[tuple[str, str, str]]:
        """ID, name and definition of resources that may be tasks, with IDs below ``before`` ("":
        all), the latest first."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """Which there are is read from the store, how they stand is asked of this master."""

    calls: MasterCalls
    kept: Kept

    def routes(self) -> tuple[AnyRoute, ...]:
        """The only door: they are made and ended as resources are."""
        return (
            Route(
                "GET", "/crawler/task", "List tasks, the latest first",
                self.list, Nothing, TaskQuery, TaskList, fails=LOOKS,
            ),
        )  # fmt: skip

    async def list(self, asked: Asked[Nothing, TaskQuery]) -> Answer:
        query = asked.query
        found = await self.kept.tasks(before=query.cursor, limit=query.limit)
        progress = await self.kept.progress([id_ for id_, _, _ in found])
        views = await asyncio.gather(*(self._view(name) for _, name, _ in found))
        shown = []
        for (id_, name, definition), view in zip(found, views, strict=True):
            task = task_of(definition)
            if task is None or view is None or view.id != id_:  # deleted meanwhile
                continue
            known, target = task
            shown.append(
                TaskView(
                    id=name,
                    name=known.name,
                    type=known.type,
                    target=target,
                    state=State(view.state),
                    reason=view.reason,
                    progress=counters(*progress[id_]) if id_ in progress else None,
                )
            )
        more = found[-1][0] if len(found) >= query.limit else ""
        return Answer(TaskList(tasks=tuple(shown), next=more))

    async def _view(self, name: str) -> control.ResourceView | None:
        try:
            return await self.calls.get_resource(control.NameRequest(name=name))
        except NotFound:
            return None
