"""A worker without a cluster: files say what it crawls, instead of etcd and masters.

The supervisor and its children are those of a cluster; only the agreement that they follow is made
here. The database alone remembers: a resource keeps its ID by its name, and a fresh cluster uuid
per start raises the epoch above every claim of an earlier process.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from crawler.app.recrawl import Recrawl, memo_of
from crawler.app.reports import Reports
from crawler.app.source import name_for, read_definition
from crawler.app.trim import trim
from crawler.clock import Clock
from crawler.coordination.catalog import Cluster, Entry, Status, Wish
from crawler.coordination.entry import Part, partitions_of
from crawler.definition import Definition
from crawler.errors import Conflict, InvalidInput, Misconfigured
from crawler.local.lock import hold_directory
from crawler.master.schedule import rescheduled
from crawler.model import Assignment, Desired, Node, Progress, Resource, State
from crawler.store.contract import Mirrored, Store
from crawler.tasks import TaskGroup, every, start_loop
from crawler.telemetry.health import Health
from crawler.worker.supervisor import Supervisor

# Revisions of a history that begins with this process: first it is there, then it has work.
_REGISTERED = 1
_AGREED = 2
_TELL_EVERY_S = 10.0
_LOOK_EVERY_S = 1.0
_TRIM_EVERY_S = 5.0


def read_definitions(files: Sequence[Path]) -> Mapping[str, Definition]:
    """Definitions by resource name, which is the file's. Raises `InvalidInput`, `Misconfigured`."""
    found: dict[str, Definition] = {}
    for file in files:
        try:
            name = name_for(str(file), None)
        except InvalidInput as error:
            raise Misconfigured(
                f"{file}: cannot name a crawl; give the file another name"
            ) from error
        if name in found:
            raise Misconfigured(f"{file}: another definition is named {name} too; rename one")
        found[name] = read_definition(str(file))
    return found


@contextmanager
def hold_store(url: str) -> Iterator[None]:
    """Keep other workers without a cluster from this database: each would fence the other."""
    path = Path(unquote(urlsplit(url).path))
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_directory(path.with_name(f"{path.name}.alone"), "worker"))
        except Conflict as error:
            raise Conflict(
                f"another worker with --cluster=false crawls in {path}: stop it, or give this one "
                "a --store of its own (sqlite:///PATH)"
            ) from error
        yield


class Agreement:
    """What a catalog would say. ``cluster`` is this process's own."""

    def __init__(self, entries: Mapping[str, Entry], cluster: Cluster) -> None:
        self.entries = dict(entries)
        self.cluster = cluster
        self.revision = _AGREED
        self.version = 1
        self._news = asyncio.Event()

    def take(self, entry: Entry) -> None:
        """Have it crawled as this entry says from now on."""
        self.entries[entry.name] = entry
        self.version += 1
        self._news.set()
        self._news = asyncio.Event()

    def assigned(self, node_id: str) -> Set[str]:
        """All of it: there is no other node."""
        del node_id
        return self.entries.keys()

    async def changed(self, since: int) -> int:
        """Only a run that is due changes anything."""
        while since == self.version:
            await self._news.wait()
        return self.version


class Unending:
    """A session that needs nobody to last, so nothing is ever due to be re-stamped."""

    ttl_s = 10 * 366 * 24 * 3600

    def remaining(self) -> float:
        return math.inf


async def agree(
    store: Store, me: Node, definitions: Mapping[str, Definition], clock: Clock
) -> Agreement:
    """Take the store over and make an entry of each definition.

    An unfinished run goes on, under the definition as it is now. A finished one stays finished,
    unless its definition has changed, or it is due: then the next run begins.
    """
    known = {each.name: each for each in await store.mirrored()}
    foreign = sorted(each.name for each in known.values() if each.id != _id_of(each.name))
    if foreign:
        raise Misconfigured(
            f"the store holds crawls of a cluster ({', '.join(foreign[:3])}): give a worker with "
            "--cluster=false a --store of its own (sqlite:///PATH)"
        )
    latest = await store.progress([known[name].id for name in definitions if name in known])
    cluster = Cluster(uuid.uuid4().hex, store.id)
    memos, entries = [], {}
    for name, definition in definitions.items():
        text = definition.canonical()
        before = known.get(name) or Mirrored(
            _id_of(name), name, int(clock.wall() * 1e9), text, Desired.RUNNING, 1
        )
        run, progress = _next_run(before, latest.get(before.id), text)
        now = int(clock.wall())
        wish = Wish(Desired.RUNNING, run, before.id, before.due, before.since)
        if run != before.run:
            wish = replace(wish, due=0, since=now)
        wish = rescheduled(wish, before.definition, text, now)
        ended_at = (await store.runs(before.id))[run].finished_at if progress.finished else 0.0
        entries[name] = _entry(before, wish, text, progress, me, ended_at)
        memos.append(memo_of(entries[name], wish))
    await store.mirror(memos)  # before the claims: a run that has begun is never forgotten
    await store.open_epoch(cluster.uuid, _AGREED)
    return Agreement(entries, cluster)


def _id_of(name: str) -> str:
    """Not a number, so that no master takes the resource for one of a cluster."""
    return f"alone-{name}"


def _next_run(
    before: Mirrored, latest: tuple[int, Progress] | None, text: str
) -> tuple[int, Progress]:
    """Which run to crawl, and how far it is."""
    run, progress = latest or (0, Progress())
    if before.run > run:  # agreed on by a process that ended before its claim
        return before.run, Progress()
    if progress.finished and before.definition != text:
        return run + 1, Progress()
    return run, progress


def _entry(
    memo: Mirrored, wish: Wish, text: str, progress: Progress, me: Node, ended_at: float
) -> Entry:
    status, why = None, progress.finished
    if why:
        status = Status(State.FINISHED, why, wish.run, memo.id, _AGREED, me.id, ended_at)
    resource = Resource(memo.id, memo.name, Assignment(me.id, me.address), memo.created_ns, _AGREED)
    partitions = partitions_of(text)
    return Entry(
        name=memo.name,
        resource=resource,
        definition=text,
        definition_revision=_AGREED,
        wish=wish,
        wish_revision=_AGREED,
        status=status,
        resource_revision=_AGREED,
        partitions=partitions,
        parts={part: Part(replace(resource, part=part), _AGREED) for part in range(1, partitions)},
    )


async def follow_files(
    definitions: Mapping[str, Definition],
    store: Store,
    supervisor: Supervisor,
    me: Node,
    health: Health,
    clock: Clock,
) -> NoReturn:
    """Crawl by the definitions until cancelled; `hold_store` comes before it."""
    node = replace(me, revision=_REGISTERED)
    agreement = await agree(store, node, definitions, clock)
    reports = Reports(store, agreement.entries)
    health.add("crawls", reports.words)
    reports.tell_end()
    async with TaskGroup() as group:
        telling = every(_TELL_EVERY_S, reports.tell_progress, clock, first=_TELL_EVERY_S)
        start_loop(group, "progress", telling)
        recrawl = Recrawl(agreement, reports, store, node.id, clock)
        start_loop(group, "schedule", every(_LOOK_EVERY_S, recrawl.round, clock))
        trimming = every(_TRIM_EVERY_S, partial(trim, agreement.entries, store, clock), clock)
        start_loop(group, "trim", trimming)
        start_loop(group, "crawls", supervisor.follow(Unending(), node, agreement, reports))
    raise AssertionError("loops end only by an error")
