"""What every store backend promises; the contract suite holds each of them to it.

A *run* of a resource is one crawl from its start URLs. Rows are keyed (resource ID, run,
fingerprint). The *token* of a part is (epoch, revision); a *claim* raises it and draws a claim
number, and every write of a `Frontier` compares both in its own transaction, under a lock that a
newer claim must wait for. Errors: `Fenced` when a newer claim, fence or tombstone stands (definite,
nothing was written); `StoreUnavailable` when nothing was written and trying again is right;
`OutcomeUnknown` when the answer to a commit was lost (repeating is safe: all writes are
idempotent).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

from crawler.model import (
    Event,
    Failures,
    HostGrant,
    ItemRecord,
    JournalRecord,
    Keep,
    KeptAnswer,
    PageRecord,
    PageState,
    Progress,
    Request,
    Retried,
    RunRecord,
    SinkRecord,
    Stamp,
    Stats,
    Visit,
)
from crawler.store.outbox import Outbox
from crawler.story import Reason, Story

LAST = 2**63 - 1  # above every seq
MAX_KIND = 64
MAX_DETAIL = 2000


@dataclass(frozen=True, slots=True)
class Job:
    """What a claimant must say about the resource that it claims."""

    name: str
    run: int
    definition: str  # canonical JSON
    definition_revision: int
    node: str  # node id of the claimant, for events
    parts: int = 1  # how many parts the resource is divided into, for ever
    due: int = 0  # the due time that began the run, in Unix seconds; 0: somebody did by hand
    sinks: tuple[str, ...] = ()  # the names of those that the definition sends items to
    recipe: str = ""  # what pages are read by: a run builds on one of the same; "": on none
    sweeps: bool = True  # whether it takes over what nobody has found in it
    request_id: str = ""  # of the request that the crawl goes back to, for events


@dataclass(frozen=True, slots=True)
class Window:
    """Requests to fetch next. ``next_in_s``: how long after the answer something that waits comes
    due (None: nothing waits)."""

    requests: tuple[Request, ...]
    next_in_s: float | None


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What SQL remembers of a resource, so that a wiped etcd can be filled again. ``due`` is the
    due time that began the run, ``since`` that up to which none begins another; 0: none."""

    id: str
    name: str
    created_ns: int
    definition: str | None
    desired: str
    run: int
    due: int = 0
    since: int = 0


class Memo(Protocol):
    """What the store is to remember of a resource; `Mirrored` is one."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def created_ns(self) -> int: ...
    @property
    def definition(self) -> str | None: ...
    @property
    def desired(self) -> str: ...
    @property
    def run(self) -> int: ...
    @property
    def due(self) -> int: ...
    @property
    def since(self) -> int: ...


class Frontier(Protocol):
    """One part of one run, under one claim."""

    async def seed(self, requests: Sequence[Request]) -> Progress:
        """Insert the start URLs and set seeded, in one transaction; no effect once seeded."""

    async def window(self, limit: int, per_host: int, skip: AbstractSet[bytes]) -> Window:
        """Up to ``limit`` due pending requests that are not in ``skip``, at most ``per_host`` of
        one host, by priority (high first), then in the order found, all hosts alike."""

    async def commit(self, visits: Sequence[Visit]) -> Progress:
        """Record visits in one transaction: state, items, new links, counters.

        A visit to a URL that is no longer pending changes nothing. A link already known is
        ignored, except one that stands EXCLUDED as a link (too deep where it was found): found
        again and not excluded, it becomes pending with the new depth, priority, rule and carry.
        What a visit excluded (robots.txt) stays so. Of links in one batch to the same URL the
        first wins, and those that are followed win over excluded ones.

        Items are kept once per (resource ID, run, URL), those of a visit that is final. A
        repeated visit counts once: attempts are counted from ``visit.request.attempts``.

        A visit that found its page unchanged takes over what the run that this one builds on has
        of it: its items, which sinks do not get again, and the pages first found on it, as links.
        Of many links a ``share`` may come ahead, by visits that leave the page pending.

        A page that is to be tried again waits from the commit on, a day at most.

        Attempts that failed are told of by `Store.story`, the latest `ATTEMPTS_KEPT` of a page.
        """

    async def strike(self, fingerprint: bytes, reason: str) -> Progress:
        """Note that this page killed its process; the third strike fails it with ``reason``, unless
        it is ``bound``: whoever is handed such a page ends it, with the item that it carries.

        The one write that counts again when it is repeated."""

    async def sweep(self) -> bool:
        """Take over what the run that this one builds on knew of this part and nobody has found in
        this one: a bounded number of its pages in one transaction; whether more of them are left
        to look at. To be called when nothing is pending, again and again; a successor goes on
        where the last call ended.

        Taken over are pages that were done, or were linked to and could not be had for the time
        being: neither those that were gone (404, 410), nor those excluded, nor ``bound`` ones."""

    async def finish(self, reason: str, *, limit: bool = False) -> Progress:
        """End the run if it is seeded, nothing is pending, and every part has swept up all (or
        ``limit``: in any case, the pending kept). ``Progress.finished`` says whether it ended."""

    async def targets(self, fingerprints: Sequence[bytes]) -> Sequence[str]:
        """The URLs that those of these pages led to whose committed visits ended elsewhere than
        at their own URL: redirects."""

    async def progress(self) -> Progress:
        """The counters now."""

    async def note(self, kind: str, detail: str) -> None:
        """Add an event. Text beyond `MAX_KIND` and `MAX_DETAIL` characters is cut off."""


class Budgets(Protocol):
    """Exclusive turns on hosts, shared by all crawls on this store; bound to one holder.

    A turn lasts ``HOLD_S`` seconds unless renewed. Refused holders are remembered as waiting, so
    that turns alternate. What passes is durations: whatever the holder's wall clock shows, and
    however it steps, makes nobody wait and nothing come too early. Nobody waits for longer than an
    hour.
    """

    async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
        """Take or renew a turn on each host, in one transaction. The value is how many seconds
        from now on nobody may send the next request, as the holder knows it (0.0: nothing known);
        it is kept, so that it survives the holder. The longer of it and what is known stands.

        A holder that is built anew under the same text has its turns again at once."""

    async def release(self, hosts: Mapping[str, float]) -> None:
        """Give turns back, with the seconds until the next request may be sent, per host."""


class Store(Protocol):
    """A backend. Opened by `crawler.store.open_store`, which also migrates the schema."""

    @property
    def id(self) -> str:
        """A uuid drawn when the schema was created."""

    async def claim(self, stamp: Stamp, job: Job) -> Frontier:
        """Raise the token to ``stamp`` and draw a claim number; `Fenced` if a newer one stands.

        The same stamp may be claimed again (a replaced child): the older claim is then fenced.
        Creates what rows are missing; earlier runs that were not over are then finished, as
        replaced. A new run builds on the last one that ended by itself with any page done, if that
        was of the same recipe from its beginning to its end; none builds on a run of several. A due
        time has one run: `Conflict` where ``job.due`` began another one, or the run
        was begun otherwise. The claim of part 0 says which sinks there are: those that ``job`` does
        not name are forgotten, all others are tried at once. A stamp of a cluster that `open_epoch`
        never saw raises `StoreUnavailable`: the leader has yet to open it.
        """

    def budgets(self, holder: str) -> Budgets:
        """Host turns for one holder (any unique text)."""

    def outbox(self, holder: str) -> Outbox:
        """What is to be sent, for one holder (any unique text)."""

    async def sinks(self, resource_id: str) -> Sequence[SinkRecord]:
        """The sinks of the latest run and of those that are still behind, the latest run first; a
        hundred at most."""

    async def open_epoch(self, cluster: str, revision: int) -> int:
        """The epoch of this cluster uuid, inserted above all others when new.

        Raises `Conflict` when etcd went back in time: ``revision`` is below the highest seen for
        it, or a newer cluster uuid exists; the leader then writes a fresh uuid.
        """

    async def raise_fence(self, stamp: Stamp) -> None:
        """No claim at or below ``stamp`` commits any more. A claim with a higher revision may."""

    async def bury(self, resource_id: str) -> None:
        """Tombstone: no commit and no claim for this ID, ever. Idempotent."""

    async def purge(self, limit: int) -> int:
        """Delete up to ``limit`` rows of what buried resources left (their pages, items, events,
        runs and claims) in one transaction, and say how many went; 0: nothing is left.

        The tombstones stay. Nothing of any other resource is touched, and calls are short, so
        that it may run beside crawls."""

    async def trim(self, resource_id: str, keep: Keep, limit: int) -> bool:
        """Delete about ``limit`` rows of what need not be kept of a resource, in one transaction;
        whether there is more. Idempotent, and what was cut off is gone on with.

        Of a run beyond ``keep.pages`` the pages go, and its items keep their URLs; beyond
        ``keep.runs`` all goes but that it was: its due time begins no other run. Left alone are the
        latest run, those that go on, those whose items a sink has yet to get, and what the next run
        would build on. Calls are short, so that they may run beside crawls."""

    async def failed(
        self, resource_id: str, run: int, wanted: Failures, *, after: int = 0, limit: int = 1000
    ) -> Sequence[int]:
        """The seqs above ``after`` of failed pages of that run, in order; none where there is no
        such run. A page whose item was stored without it (one that is joined) does not count."""

    async def retry(self, stamp: Stamp, run: int, pages: Sequence[int]) -> Retried:
        """Make those of these pages (by seq) that are failed pending again, as if they had just
        been found, in one transaction with their counters; a run that was over goes on with them.
        Repeated, it changes nothing.

        ``stamp`` is the assignment that the caller knows: `Fenced` where a newer claim or fence
        stands. `Conflict` where the resource has a later run."""

    async def note(self, events: Sequence[tuple[str, Event]]) -> None:
        """Add events by resource ID, as the leader, without a claim, all in one transaction;
        nothing for a buried resource. ``seq`` is drawn here.

        Text beyond `MAX_KIND` and `MAX_DETAIL` characters is cut off."""

    async def mirror(self, entries: Sequence[Memo]) -> None:
        """Remember resources (upsert by ID; buried ones stay buried)."""

    async def mirrored(self) -> Sequence[Mirrored]:
        """All remembered resources that are not buried."""

    async def progress(self, resource_ids: Sequence[str]) -> Mapping[str, tuple[int, Progress]]:
        """Latest run and its counters, per resource ID that has one."""

    async def runs(self, resource_id: str) -> Mapping[int, RunRecord]:
        """The last thousand runs, by number, the first one first."""

    async def stats(self, resource_id: str, run: int | None = None) -> Stats:
        """What one run (None: the latest) has come to so far, in figures by Scrapy's names; see
        `crawler.store.stats`. Empty where there is no run. `NotFound` for a run that there is not,
        or whose pages are not kept."""

    async def due_runs(self, due: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
        """By resource ID: the number of the run that its due time (Unix seconds) has begun, and the
        highest number of any of its runs; 0 for none."""

    async def pages(
        self,
        resource_id: str,
        *,
        run: int | None = None,
        state: PageState | None = None,
        status: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> tuple[Sequence[PageRecord], str]:
        """A page of page records of one run (None: the latest), and the cursor for the next ("":
        the end). `NotFound` for a run that there is not, or whose pages are not kept."""

    async def items(
        self,
        resource_id: str,
        *,
        run: int | None = None,
        after: int = 0,
        until: int = LAST,
        limit: int = 100,
    ) -> Sequence[ItemRecord]:
        """Items of one run (None: the latest) with seq above ``after`` and up to ``until``, in
        order: a cursor misses nothing, whoever writes meanwhile. `NotFound` for a run that there
        is not."""

    async def extents(self, resource_id: str) -> Mapping[int, int]:
        """The highest seq of an item per run (0: it has none), of the last thousand runs, the first
        one first, read in one statement. Within a run seq rises in the order of the commits, so
        what is up to there is all there is now, and what is above comes later: whoever reads up to
        there, however slowly, reads one snapshot."""

    async def events(
        self, resource_id: str, *, after: int = 0, limit: int = 100
    ) -> Sequence[Event]:
        """Events with seq above ``after``, in order."""

    async def journal(self, *, before: int = LAST, limit: int = 100) -> Sequence[JournalRecord]:
        """Events of all resources that are not buried, with seq below ``before``, the newest
        first."""

    async def begin_answer(self, key: str, digest: bytes, plan: str) -> KeptAnswer:
        """What is kept for this key, or, where it is new, from now on: of two that begin it at once
        one is first, and both are told that one's digest and plan. Answers are kept for a day, and
        a hundred thousand at most: the oldest go."""

    async def end_answer(self, key: str, digest: bytes, status: int, body: str) -> None:
        """Keep the answer to the request that was begun; the first one stays. No effect where
        the key is another request's, or gone."""

    async def story(
        self, resource_id: str, fingerprint: bytes, *, run: int | None = None
    ) -> Story | None:
        """What a run (None: the latest) knows of one page; None: it never heard of it. `NotFound`
        for a run that there is not, or whose pages are not kept."""

    async def reasons(self, resource_id: str, *, run: int | None = None) -> Sequence[Reason]:
        """Why pages of a run failed or were excluded, the most frequent reason first; of each state
        the first `SCAN` pages are counted. Raises as `pages`."""

    async def find_pages(
        self,
        resource_id: str,
        text: str,
        *,
        run: int | None = None,
        state: PageState | None = None,
        status: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> tuple[Sequence[PageRecord], str]:
        """As `pages`, of those whose URL or reason holds the text, whether capital or not (as far
        as the alphabet of ASCII goes). A call looks at `SCAN` pages at most: the answer may be
        empty, and the cursor go on."""

    async def find_items(
        self,
        resource_id: str,
        text: str,
        *,
        run: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> tuple[Sequence[ItemRecord], str]:
        """As `find_pages`, of items of which a field's name or value holds the text."""

    async def totals(self) -> Progress:
        """The sums over the latest runs of all remembered resources that are not buried."""

    async def failing(self, limit: int) -> Sequence[tuple[str, int, int]]:
        """Name, failed and known pages of those whose latest runs have the most failed ones."""

    async def scheduled(self, resource_ids: Sequence[str]) -> Mapping[str, str]:
        """Of these resources those that may have a schedule, with their definitions' JSON."""

    async def tasks(self, *, before: str = "", limit: int = 100) -> Sequence[tuple[str, str, str]]:
        """ID, name and definition (JSON) of remembered resources that may be tasks and are not
        buried, with IDs below ``before`` ("": all), the latest first."""

    async def check(self) -> Mapping[str, Any]:
        """Health in words and figures; raises `StoreUnavailable`."""

    async def close(self) -> None:
        """Release everything; idempotent."""
