"""Tasks as the first reference system has them: resources that fetch one page and keep its text.

The task's id is the resource's name. What else is known of it stands in its definition (``task``),
so that a task is paused, moved, fenced and deleted like any other resource.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from crawler.access import asking
from crawler.coordination.catalog import read_entry
from crawler.coordination.entry import Entry, state_of
from crawler.definition import from_data
from crawler.definition.tasks import task_of
from crawler.errors import CrawlerError, InvalidInput, NotFound
from crawler.master.leader import Leader
from crawler.master.master import Master
from crawler.master.service import Router
from crawler.master.wishes import Action
from crawler.model import ItemRecord, PageRecord, Progress, State, check_name
from crawler.rpc.incoming import Context
from crawler.rpc.pb.communicate_pb2 import ID, OptResult, Query, Task, TaskResult
from crawler.rpc.pb.communicate_pb2_grpc import TasksServicer
from crawler.tasks import TaskGroup

NOTE_KEY = "crawler-note"  # trailing metadata beside a result that is not whole
MAX_IDS = 200
AT_ONCE = 16

_STATES: Mapping[State, Task.State.ValueType] = {
    State.PENDING: Task.WAITING,
    State.PAUSED: Task.WAITING,
    State.ASSIGNED: Task.INQUEUE,
    State.RUNNING: Task.RUNNING,
    State.ERROR: Task.RUNTIME_ERROR,
    State.STOPPED: Task.KILLED,
}


class Sources(Protocol):
    """Where results are read; all methods raise `StoreUnavailable`."""

    async def progress(self, resource_ids: Sequence[str]) -> Mapping[str, tuple[int, Progress]]:
        """Latest run and its counters, per resource ID that has one."""

    async def items(self, resource_id: str, *, limit: int = 100) -> Sequence[ItemRecord]:
        """Items of the latest run, in order."""

    async def pages(
        self, resource_id: str, *, limit: int = 100
    ) -> tuple[Sequence[PageRecord], str]:
        """Pages of the latest run, and a cursor."""


class TasksService(TasksServicer):
    """Reads are answered by any master, from etcd as it is now; the leader does the rest."""

    def __init__(self, router: Router, master: Master, sources: Sources) -> None:
        self._router = router
        self._master = master
        self._sources = sources

    async def GetTask(self, request: ID, context: Context) -> Task:  # noqa: N802
        entry = await self._find(_one(request))
        task = _show(entry)
        task.state = (await self._states([entry]))[entry.name]
        if task.state == Task.SUCCEED:
            with suppress(NotFound):  # its page is no text
                task.results.append(await self._result(entry, context))
        return task

    async def ListTask(self, request: Query, context: Context) -> ID:  # noqa: N802
        del context
        if unknown := set(request.state) - set(Task.State.values()):
            known = ", ".join(f"{n} {name}" for name, n in Task.State.items())
            raise InvalidInput(f"state: no such state {min(unknown)}; {known}", field="state")
        await self._master.catalog.caught_up()
        entries = self._master.catalog.entries
        found = [each for each in entries.values() if _is_task(each)]
        if wanted := set(request.state):
            states = await self._states(found)
            found = [each for each in found if states[each.name] in wanted]
        return ID(id=sorted(each.name for each in found))

    async def CreateTask(self, request: Task, context: Context) -> OptResult:  # noqa: N802
        request.id = check_id(request.id) if request.id else uuid.uuid4().hex
        definition = definition_of(request)

        async def here(leader: Leader) -> OptResult:
            await leader.resources.add(request.id, definition, asking.get())
            return OptResult(succeed={request.id: True})

        return await self._router.carry_out(
            context, here, lambda calls, s: calls.create_task(request, timeout_s=s)
        )

    async def DelTask(self, request: ID, context: Context) -> OptResult:  # noqa: N802
        names = _several(request)

        async def delete(leader: Leader, name: str) -> bool:
            await self._find(name)
            await leader.resources.delete(name)
            return True

        async def here(leader: Leader) -> OptResult:
            return await _each(names, lambda name: delete(leader, name))

        return await self._router.carry_out(
            context, here, lambda calls, s: calls.del_task(request, timeout_s=s)
        )

    async def KillTask(self, request: ID, context: Context) -> OptResult:  # noqa: N802
        names = _several(request)

        async def kill(leader: Leader, name: str) -> bool:
            await self._find(name)
            await leader.wishes.desire(name, Action.STOP)
            state, _ = state_of(await self._find(name), self._master.catalog.workers)
            return state is State.STOPPED

        async def here(leader: Leader) -> OptResult:
            return await _each(names, lambda name: kill(leader, name))

        return await self._router.carry_out(
            context, here, lambda calls, s: calls.kill_task(request, timeout_s=s)
        )

    async def GetTaskResult(self, request: ID, context: Context) -> TaskResult:  # noqa: N802
        return await self._result(await self._find(_one(request)), context)

    async def _find(self, name: str) -> Entry:
        """The task as etcd has it now; `NotFound`."""
        entry = await read_entry(self._master.etcd, name)
        if entry.resource is None or not _is_task(entry):
            raise NotFound(f"there is no task {name}")
        return entry

    async def _states(self, entries: Sequence[Entry]) -> Mapping[str, Task.State.ValueType]:
        """By id. A run that is over succeeded if it has the page."""
        live = self._master.catalog.workers
        states = {each.name: state_of(each, live)[0] for each in entries}
        over = {
            each.name: each.resource.id
            for each in entries
            if each.resource is not None and states[each.name] is State.FINISHED
        }
        progress = await self._sources.progress(list(over.values())) if over else {}
        done = {name for name, id_ in over.items() if id_ in progress and progress[id_][1].done}
        return {
            name: _STATES.get(state, Task.SUCCEED if name in done else Task.RUNTIME_ERROR)
            for name, state in states.items()
        }

    async def _result(self, entry: Entry, context: Context) -> TaskResult:
        assert entry.resource is not None
        for item in await self._sources.items(entry.resource.id):
            source, note = item.fields.get("source"), item.fields.get("note")
            if source is None:
                raise NotFound(f"{entry.name} has no text: its page is {note or 'empty'}")
            if note:
                context.set_trailing_metadata(((NOTE_KEY, str(note)),))
            return TaskResult(code=str(source))
        raise NotFound(await self._why_none(entry))

    async def _why_none(self, entry: Entry) -> str:
        assert entry.resource is not None
        state, reason = state_of(entry, self._master.catalog.workers)
        pages, _ = await self._sources.pages(entry.resource.id)
        failure = next((f"{each.reason or each.status}" for each in pages if each.reason), "")
        said = failure if state is State.FINISHED and failure else reason
        return f"{entry.name} has no result: it is {state}" + (f" ({said})" if said else "")


def definition_of(task: Task) -> str:
    """The canonical definition of its resource. Raises `InvalidInput` that names the field."""
    for field in ("name", "target"):
        if not getattr(task, field):
            raise InvalidInput(f"{field}: required", field=field)
    if task.state != Task.WAITING or task.results:
        raise InvalidInput("state and results are not for the creator to say", field="state")
    data = {
        "start_urls": [task.target],
        "rules": [{"name": "task", "match": "**"}],
        "store_body": True,
        "task": {"name": task.name, "type": task.type},
    }
    try:
        return from_data(data, source="").canonical()
    except InvalidInput as error:
        field = "target" if error.field.startswith("start_urls") else error.field
        field = field.removeprefix("task.")
        said = str(error).removeprefix(error.field).removeprefix(": ")
        raise InvalidInput(f"{field}: {said}", field=field) from error


def check_id(text: str) -> str:
    """A task's id, in NFC; `InvalidInput` for what is no name of a resource."""
    try:
        return check_name(text)
    except InvalidInput as error:
        raise InvalidInput(f"id: {str(error).removeprefix('name: ')}", field="id") from error


def _is_task(entry: Entry) -> bool:
    return task_of(entry.definition) is not None


def _show(entry: Entry) -> Task:
    """Without its state and results."""
    found = task_of(entry.definition)
    assert found is not None
    known, target = found
    return Task(id=entry.name, name=known.name, target=target, type=known.type)


def _one(request: ID) -> str:
    if len(request.id) != 1:
        raise InvalidInput(f"id: one at a time (got {len(request.id)})", field="id")
    return check_id(request.id[0])


def _several(request: ID) -> list[str]:
    if not 1 <= len(request.id) <= MAX_IDS:
        raise InvalidInput(f"id: 1 to {MAX_IDS} at a time (got {len(request.id)})", field="id")
    return list(dict.fromkeys(map(check_id, request.id)))


async def _each(names: Sequence[str], act: Callable[[str], Awaitable[bool]]) -> OptResult:
    """Act on each; False: there is none. Whatever else fails is raised once all have ended: some
    may have succeeded then, and repeating the call is safe."""
    succeed: dict[str, bool] = {}
    failures: list[CrawlerError] = []
    waiting: Iterator[str] = iter(names)

    async def take() -> None:
        for name in waiting:
            try:
                succeed[name] = await act(name)
            except NotFound:
                succeed[name] = False
            except CrawlerError as error:
                failures.append(error)
                return

    async with TaskGroup() as group:
        for _ in range(min(AT_ONCE, len(names))):
            group.create_task(take(), name="tasks")
    if failures:
        raise failures[0]
    return OptResult(succeed=succeed)
