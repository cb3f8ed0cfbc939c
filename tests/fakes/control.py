"""A master without a cluster: both gRPC services over a dictionary."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from google.protobuf.empty_pb2 import Empty

from crawler.errors import Conflict, CrawlerError, InvalidInput, NotFound
from crawler.master.listing import page_of
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, check_name, read_failures
from crawler.rpc.incoming import Context, hops
from crawler.rpc.pb import control_pb2 as control
from crawler.rpc.pb import control_pb2_grpc, crawler_pb2_grpc
from crawler.rpc.pb import crawler_pb2 as crawler
from crawler.rpc.services import Service, crawler_control, crawler_master

CREATED_NS = 1675470192274320000
FIRST_ID = 1621665639791857664

ACTIONS = {"pause": "paused", "resume": "running", "stop": "stopped", "start": "running"}


def _ended() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class FakeMaster:
    """The state, and what a test may set: ``worker`` None means that no worker lives;
    ``fail_next`` holds errors that the next calls raise; while ``hold`` is set, calls wait."""

    worker: tuple[str, str] | None = (f"{WORKER_SERVICE}-2", "192.168.0.107:9089")
    resources: dict[str, control.ResourceView] = field(default_factory=dict)
    nodes: list[control.NodeView] = field(default_factory=list)
    fail_next: list[CrawlerError | Exception] = field(default_factory=list)
    hold: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[str] = field(default_factory=list)
    hops: list[int] = field(default_factory=list)
    failed: dict[str, list[int]] = field(default_factory=dict)  # statuses of pages, by name
    retried: list[int] = field(default_factory=list)
    retried_at_once: int = 3
    request_ids: list[str] = field(default_factory=list)
    notices: list[control.Notice] = field(default_factory=list)
    watch_ends: asyncio.Event | CrawlerError = field(default_factory=_ended)

    def __post_init__(self) -> None:
        master = control.NodeView(
            id=f"{MASTER_SERVICE}-1", service=MASTER_SERVICE, address="192.168.0.107:9091",
            leader=True, native=True, uptime_s=12.5,
        )  # fmt: skip
        self.nodes.append(master)
        if self.worker is not None:
            node_id, address = self.worker
            worker = control.NodeView(
                id=node_id, service=WORKER_SERVICE, address=address, active=3, resources=1,
                native=True,
            )  # fmt: skip
            self.nodes.append(worker)

    @property
    def services(self) -> tuple[Service, Service]:
        """What a server is given to offer this master."""
        return crawler_master(FakeCrawlerMaster(self)), crawler_control(FakeCrawlerControl(self))

    async def enter(self, method: str, context: Context) -> None:
        """Every call begins here."""
        self.calls.append(method)
        self.hops.append(hops(context))
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.fail_next:
            raise self.fail_next.pop(0)

    def view(self, name: str) -> control.ResourceView:
        try:
            return self.resources[check_name(name)]
        except KeyError:
            raise NotFound("no such task") from None

    def put(self, name: str, definition: str) -> tuple[control.ResourceView, bool, bool]:
        """Create or change; tells whether it was created, and whether it was changed."""
        name, definition = check_name(name), check_definition(definition)
        view = self.resources.get(name)
        created = view is None
        if view is None:
            view = control.ResourceView(
                id=str(FIRST_ID + len(self.resources)), name=name, creation_time=CREATED_NS, run=1
            )
            self.resources[name] = view
        changed = not created and bool(definition) and definition != view.definition_json
        if definition and (created or changed):
            view.definition_json = definition
            view.definition_revision += 7
        self.place(view)
        return view, created, changed

    def place(self, view: control.ResourceView) -> None:
        view.revision += 1
        if self.worker is None:
            view.state, view.reason = "pending", "no live worker"
            return
        view.assigned_node, view.address = self.worker
        view.decision, view.decided_at = "least loaded", 1675470192.5
        ready = bool(view.definition_json)
        view.state = "running" if ready else "pending"
        view.reason = "" if ready else "no definition"


def check_definition(text: str) -> str:
    """Canonical JSON of an object; the one rule of this fake is that start_urls is a list."""
    if not text:
        return ""
    definition = json.loads(text)
    if not isinstance(definition.get("start_urls", []), list):
        raise InvalidInput("start_urls: must be a list", field="start_urls")
    return json.dumps(definition, sort_keys=True, separators=(",", ":"))


class FakeCrawlerMaster(crawler_pb2_grpc.CrawlerMasterServicer):
    def __init__(self, master: FakeMaster) -> None:
        self._master = master

    async def AddResource(  # noqa: N802
        self, request: crawler.ResourceSpec, context: Context
    ) -> crawler.NodeSpec:
        await self._master.enter("AddResource", context)
        wanted = check_definition(request.definition_json)
        there = self._master.resources.get(check_name(request.name))
        if there is not None and wanted and wanted != there.definition_json:
            raise Conflict(f"{request.name} exists with another definition")
        view, _, _ = self._master.put(request.name, request.definition_json)
        return crawler.NodeSpec(id=view.assigned_node, Address=view.address)

    async def DeleteResource(  # noqa: N802
        self, request: crawler.ResourceSpec, context: Context
    ) -> Empty:
        await self._master.enter("DeleteResource", context)
        del self._master.resources[self._master.view(request.name).name]
        return Empty()


class FakeCrawlerControl(control_pb2_grpc.CrawlerControlServicer):
    def __init__(self, master: FakeMaster) -> None:
        self._master = master

    async def PutResource(  # noqa: N802
        self, request: control.PutRequest, context: Context
    ) -> control.PutReply:
        await self._master.enter("PutResource", context)
        self._master.request_ids.append(request.request_id)
        view, created, changed = self._master.put(request.name, request.definition_json)
        return control.PutReply(
            resource_id=view.id, node_id=view.assigned_node, address=view.address,
            created=created, changed=changed,
        )  # fmt: skip

    async def SetDesired(  # noqa: N802
        self, request: control.DesireRequest, context: Context
    ) -> control.DesireReply:
        await self._master.enter("SetDesired", context)
        view = self._master.view(request.name)
        if request.action not in ACTIONS:
            raise InvalidInput(f"action: unknown {request.action!r}", field="action")
        if request.action == "resume" and view.state != "paused":
            raise Conflict(f"{request.name} is not paused")
        if request.action == "start" and 0 < request.after_run < view.run:
            return control.DesireReply(changed=False, run=view.run)
        changed = view.state != ACTIONS[request.action]
        view.state = ACTIONS[request.action]
        view.run += changed and request.action == "start"
        return control.DesireReply(changed=changed, run=view.run)

    async def RetryPages(  # noqa: N802
        self, request: control.RetryRequest, context: Context
    ) -> control.RetryReply:
        await self._master.enter("RetryPages", context)
        view = self._master.view(request.name)
        failures = read_failures(request.status, request.reason)
        if request.run not in (0, view.run):
            raise Conflict(f"run: {request.run} is not the latest run")
        failed = self._master.failed.get(request.name, [])
        meant = [s for s in failed if failures.lowest <= s <= failures.highest]
        shown = meant[request.after :][: self._master.retried_at_once]
        if not request.dry_run:
            self._master.retried += shown
        seen = request.after + len(shown)
        return control.RetryReply(
            run=view.run, pages=len(shown), next=seen if seen < len(meant) else 0
        )

    async def ListResources(  # noqa: N802
        self, request: control.ListRequest, context: Context
    ) -> control.ResourceList:
        await self._master.enter("ListResources", context)
        fitting = [
            view
            for name, view in sorted(self._master.resources.items())
            if name.startswith(request.prefix) and request.contains.lower() in name.lower()
        ]
        totals = Counter(view.state for view in fitting)
        behind = [
            view
            for view in fitting
            if view.name > request.cursor and request.state in ("", view.state)
        ]
        shown = behind[: request.limit or None]
        listed = control.ResourceList(totals=totals)
        listed.next = shown[-1].name if len(shown) < len(behind) else ""
        for view in shown:
            listed.resources.add().CopyFrom(view)
            listed.resources[-1].definition_json = ""
        return listed

    async def GetResource(  # noqa: N802
        self, request: control.NameRequest, context: Context
    ) -> control.ResourceView:
        await self._master.enter("GetResource", context)
        return self._master.view(request.name)

    async def ListNodes(  # noqa: N802
        self, request: control.NodesRequest, context: Context
    ) -> control.NodeList:
        await self._master.enter("ListNodes", context)
        return control.NodeList(**page_of(self._master.nodes, request.limit, request.cursor))

    async def Watch(  # noqa: N802
        self, request: control.WatchRequest, context: Context
    ) -> AsyncGenerator[control.Notice]:
        await self._master.enter("Watch", context)
        at = int(request.cursor.rpartition(".")[2] or 0)
        yield control.Notice(cursor=f"x.{at}")
        for notice in self._master.notices[at:]:
            yield notice
        if isinstance(self._master.watch_ends, CrawlerError):
            raise self._master.watch_ends
        await self._master.watch_ends.wait()

    async def DrainNode(  # noqa: N802
        self, request: control.DrainRequest, context: Context
    ) -> Empty:
        await self._master.enter("DrainNode", context)
        for node in self._master.nodes:
            if node.id == request.node:
                node.drained = not request.undo
                return Empty()
        raise NotFound(f"no node {request.node}")
