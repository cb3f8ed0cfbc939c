"""Resources over HTTP: added, changed, steered, deleted and shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from crawler.clock import Clock, SystemClock
from crawler.definition import MAX_DEFINITION_BYTES, Schedule, next_due, schedule_of
from crawler.errors import StoreUnavailable, TooLarge
from crawler.model import Progress, State, check_name
from crawler.rpc.calls import MasterCalls
from crawler.rpc.pb import control_pb2 as control
from crawler.rpc.pb import crawler_pb2 as crawler
from crawler.web.models import (
    Changed,
    Counters,
    DefinitionBody,
    Desired,
    NodeSpec,
    Nothing,
    Part,
    Resource,
    ResourceDetail,
    ResourceList,
    ResourceQuery,
    ResourceSpec,
    Retried,
    Retry,
)
from crawler.web.route import (
    CHANGES,
    LOOKS,
    LOOKS_AT_ONE,
    Answer,
    AnyRoute,
    Asked,
    Route,
)

PATH = "/crawler/resource"
ONE = PATH + "/{name}"
_LEFT_ALONE = {State.PAUSED, State.STOPPED}  # by its schedule
ACTIONS = {
    "pause": "Stop crawling and keep the run",
    "resume": "Go on with a paused run",
    "stop": "End the run",
    "start": "Begin the next run",
}


class Counts(Protocol):
    """Where live counters are read."""

    async def progress(self, resource_ids: Sequence[str]) -> Mapping[str, tuple[int, Progress]]:
        """Latest run and its counters, per resource ID that has one; `StoreUnavailable`."""

    async def scheduled(self, resource_ids: Sequence[str]) -> Mapping[str, str]:
        """Of these those that may have a schedule, with their definitions' JSON."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Writes and states go through this master's own gRPC, counters come from the store."""

    calls: MasterCalls
    counts: Counts
    clock: Clock = SystemClock()  # noqa: RUF009 - without state

    def routes(self) -> tuple[AnyRoute, ...]:
        """All doors to resources."""
        return (
            Route(
                "POST", PATH, "Add a resource; the same again gives the same answer", self.add,
                ResourceSpec, Nothing, NodeSpec, (200, 202), fails=CHANGES,
            ),
            Route(
                "DELETE", PATH, "Delete the resource that the body names", self.delete_spec,
                ResourceSpec, Nothing, Nothing, fails=CHANGES,
            ),
            Route(
                "GET", PATH, "List resources by name", self.list, Nothing, ResourceQuery,
                ResourceList, fails=LOOKS,
            ),
            Route(
                "GET", ONE, "Show a resource, its definition and progress", self.show,
                Nothing, Nothing, ResourceDetail, check=check_name, fails=LOOKS_AT_ONE,
            ),
            Route(
                "PUT", ONE, "Create a resource or change its definition", self.put,
                DefinitionBody, Nothing, Changed, (200, 202), check=check_name, fails=CHANGES,
            ),
            Route(
                "DELETE", ONE, "Delete a resource and its rows", self.delete,
                Nothing, Nothing, Nothing, check=check_name, fails=CHANGES,
            ),
            *(
                Route(
                    "POST", f"{ONE}/{action}", summary, partial(self.desire, action),
                    Nothing, Nothing, Desired, check=check_name, fails=CHANGES,
                    plan=self.run_before if action == "start" else None,
                )
                for action, summary in ACTIONS.items()
            ),
            Route(
                "POST", f"{ONE}/retry", "Try failed pages of the latest run again", self.retry,
                Retry, Nothing, Retried, check=check_name, fails=CHANGES,
            ),
        )  # fmt: skip

    async def add(self, asked: Asked[ResourceSpec, Nothing]) -> Answer:
        spec = asked.body
        request = crawler.ResourceSpec(
            id=spec.id,
            name=spec.name,
            assigned_node=spec.assigned_node,
            creation_time=spec.creation_time,
            definition_json="" if spec.definition is None else _packed(spec.definition),
        )
        node = await self.calls.add_resource(request)
        return Answer(NodeSpec(id=node.id, Address=node.Address), 200 if node.id else 202)

    async def put(self, asked: Asked[DefinitionBody, Nothing]) -> Answer:
        request = control.PutRequest(
            name=asked.name,
            definition_json=_packed(asked.body.root),
            request_id=asked.request_id,
        )
        reply = await self.calls.put_resource(request)
        changed = Changed(
            id=reply.resource_id,
            name=asked.name,
            assigned_node=reply.node_id,
            address=reply.address,
            created=reply.created,
            changed=reply.changed,
        )
        return Answer(changed, 202 if reply.created and not reply.node_id else 200)

    async def delete_spec(self, asked: Asked[ResourceSpec, Nothing]) -> Answer:
        spec = crawler.ResourceSpec(id=asked.body.id, name=asked.body.name)
        await self.calls.delete_resource(spec)
        return Answer(Nothing())

    async def delete(self, asked: Asked[Nothing, Nothing]) -> Answer:
        await self.calls.delete_resource(crawler.ResourceSpec(name=asked.name))
        return Answer(Nothing())

    async def desire(self, action: str, asked: Asked[Nothing, Nothing]) -> Answer:
        after = int(asked.plan or 0)
        request = control.DesireRequest(name=asked.name, action=action, after_run=after)
        reply = await self.calls.set_desired(request)
        # An earlier try of this very request may have begun the run.
        changed = reply.changed or bool(after and reply.run > after)
        return Answer(Desired(changed=changed, run=reply.run))

    async def run_before(self, asked: Asked[Nothing, Nothing]) -> str:
        """The run that a start is to begin the next one after."""
        view = await self.calls.get_resource(control.NameRequest(name=asked.name))
        return str(view.run)

    async def retry(self, asked: Asked[Retry, Nothing]) -> Answer:
        wanted = asked.body
        request = control.RetryRequest(
            name=asked.name,
            status="" if wanted.status is None else str(wanted.status),
            reason=wanted.reason or "",
            run=wanted.run or 0,
            dry_run=wanted.dry_run,
            after=wanted.after,
        )
        reply = await self.calls.retry_pages(request)
        return Answer(Retried(run=reply.run, pages=reply.pages, next=reply.next))

    async def list(self, asked: Asked[Nothing, ResourceQuery]) -> Answer:
        query = asked.query
        request = control.ListRequest(
            limit=query.limit,
            cursor=query.cursor,
            state=query.state or "",
            prefix=query.prefix,
            contains=query.contains,
        )
        listed = await self.calls.list_resources(request)
        ids = [view.id for view in listed.resources]
        progress, problem = await self._progress(ids)
        definitions = {} if problem or not ids else await self.counts.scheduled(ids)
        dues = {
            view.id: due_of(view, schedule_of(definitions.get(view.id)), self.clock)
            for view in listed.resources
        }
        return Answer(
            ResourceList(
                resources=tuple(
                    _summary(view, progress, problem, dues[view.id]) for view in listed.resources
                ),
                next=listed.next,
                totals=dict(listed.totals),
            )
        )

    async def show(self, asked: Asked[Nothing, Nothing]) -> Answer:
        view = await self.calls.get_resource(control.NameRequest(name=asked.name))
        progress, problem = await self._progress([view.id])
        due = due_of(view, schedule_of(view.definition_json), self.clock)
        summary = _summary(view, progress, problem, due)
        definition = json.loads(view.definition_json) if view.definition_json else None
        return Answer(ResourceDetail(**dict(summary), definition=definition))

    async def _progress(self, ids: Sequence[str]) -> tuple[Mapping[str, Counters], str]:
        """Counters by resource ID; a store that is away hides them only, and says so."""
        try:
            found = await self.counts.progress(ids) if ids else {}
        except StoreUnavailable as error:
            return {}, str(error)
        return {each: counters(*found[each]) for each in found}, ""


def _packed(definition: Mapping[str, Any]) -> str:
    """Compact JSON; `TooLarge` where etcd should not have to keep it."""
    text = json.dumps(definition, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > MAX_DEFINITION_BYTES:
        raise TooLarge(f"definition: larger than {MAX_DEFINITION_BYTES} bytes")
    return text


def counters(run: int, progress: Progress) -> Counters:
    """As they go out."""
    return Counters(
        run=run,
        known=progress.known,
        done=progress.done,
        failed=progress.failed,
        pending=progress.pending,
        excluded=progress.excluded,
        items=progress.items,
        incomplete_items=progress.incomplete_items,
        fetched_bytes=progress.fetched_bytes,
        seeded=progress.seeded,
        finished=progress.finished,
        unchanged=progress.unchanged,
    )


def due_of(view: control.ResourceView, schedule: Schedule | None, clock: Clock) -> int | None:
    """When its next run is due, in Unix seconds; None: never, or it is left alone."""
    if schedule is None or view.state in _LEFT_ALONE:
        return None
    return next_due(schedule, int(clock.wall()), view.creation_time // 1_000_000_000)


def _summary(
    view: control.ResourceView,
    progress: Mapping[str, Counters],
    problem: str,
    due: int | None,
) -> Resource:
    return Resource(
        id=view.id,
        name=view.name,
        assigned_node=view.assigned_node,
        address=view.address,
        creation_time=str(view.creation_time),
        state=view.state,
        reason=view.reason,
        run=view.run,
        revision=view.revision,
        definition_revision=view.definition_revision,
        decision=view.decision,
        decided_at=view.decided_at,
        progress=progress.get(view.id),
        progress_error=problem,
        owner=view.owner,
        next_due=due,
        parts=tuple(
            Part(
                assigned_node=each.assigned_node,
                address=each.address,
                state=each.state,
                reason=each.reason,
                revision=each.revision,
                decision=each.decision,
                decided_at=each.decided_at,
            )
            for each in view.parts
        ),
    )
