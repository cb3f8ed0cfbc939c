"""Pausing, resuming, stopping and starting: what each asks for, and how it becomes true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from crawler.coordination.catalog import Entry
from crawler.coordination.etcd import put
from crawler.coordination.keys import wish_key
from crawler.coordination.records import Wish, encode_wish
from crawler.definition import schedule_of
from crawler.errors import Conflict, InvalidInput, NotFound, OutcomeUnknown, StoreUnavailable
from crawler.failpoint import hit
from crawler.master.desk import Desk, refuse_deleted, release_parts
from crawler.master.fence import Fence
from crawler.master.mirror import Mirror
from crawler.master.survey import over, wish_of
from crawler.model import Desired, Resource, Stamp, State, check_name

log = structlog.get_logger(__name__)


class Action(StrEnum):
    """What a caller may ask of a resource."""

    PAUSE = "pause"  # stop crawling, keep the run
    RESUME = "resume"  # go on with the paused run
    STOP = "stop"  # end the run
    START = "start"  # begin the next run


@dataclass(frozen=True, slots=True)
class Turn:
    """What an action comes to. ``change`` False: it is so already.

    ``halt``: when it is answered, nothing of the resource may be written to the database.
    """

    wish: Wish
    change: bool
    halt: bool


def check_action(text: str) -> Action:
    """Read what a caller wrote; `InvalidInput` for anything else."""
    try:
        return Action(text)
    except ValueError:
        known = ", ".join(Action)
        raise InvalidInput(f"action: one of {known} (got {text[:40]!r})", field="action") from None


def begun_before(entry: Entry, action: Action, after_run: int) -> Turn | None:
    """What a start comes to whose run has begun already; None: it has not."""
    wish = wish_of(entry)
    if action is not Action.START or not after_run or wish is None or wish.run <= after_run:
        return None
    return Turn(wish, change=False, halt=False)


def turn_of(entry: Entry, resource: Resource, action: Action, now: int = 0) -> Turn:
    """Decide. Raises `Conflict` that says what to do where the state does not allow it.

    What is begun by hand, or goes on, is enough for every due time of its schedule up to ``now``.
    """
    wish = wish_of(entry) or Wish(Desired.RUNNING, 1, resource.id)
    ended = over(entry)
    scheduled = schedule_of(entry.definition) is not None
    if scheduled and action is not Action.START:
        ended = None  # it is about the runs to come as well
    state = "over" if ended is not None else wish.state.value
    found = _TURNS[action].get(state)
    if found is None:
        said = ended.value if ended is not None else state
        raise Conflict(f"{entry.name} is {said}: {_ADVICE[state]}")
    wanted, next_run = found
    run = wish.run + 1 if next_run else wish.run
    # A crawl in error would begin anew with the next definition; a finished one would not.
    open_ = ended in (None, State.ERROR)
    change = next_run or (open_ and wish.state is not wanted)
    halt = wanted in (Desired.PAUSED, Desired.STOPPED) and open_
    due = 0 if next_run else wish.due
    since = now if scheduled and change and wanted is Desired.RUNNING else wish.since
    return Turn(Wish(wanted, run, resource.id, due, since), change, halt)


# By action and by where the resource stands: what is then wanted, and whether in the next run.
_TURNS: dict[Action, dict[str, tuple[Desired, bool]]] = {
    Action.PAUSE: {"running": (Desired.PAUSED, False), "paused": (Desired.PAUSED, False)},
    Action.RESUME: {"running": (Desired.RUNNING, False), "paused": (Desired.RUNNING, False)},
    Action.STOP: {
        "running": (Desired.STOPPED, False),
        "paused": (Desired.STOPPED, False),
        "stopped": (Desired.STOPPED, False),
        "over": (Desired.STOPPED, False),
    },
    Action.START: {
        "running": (Desired.RUNNING, False),
        "stopped": (Desired.RUNNING, True),
        "over": (Desired.RUNNING, True),
    },
}
_ADVICE = {
    "paused": "resume it, or stop it first",
    "stopped": "start begins its next run",
    "over": "start begins its next run",
}


class Wishes:
    """Carries out actions under one term. ``cluster`` is the uuid that tokens are issued under."""

    def __init__(self, desk: Desk, fence: Fence, mirror: Mirror, cluster: str) -> None:
        self._desk = desk
        self._mirror = mirror
        self._fence = fence
        self._cluster = cluster

    async def desire(self, name: str, action: Action, after_run: int = 0) -> Turn:
        """Make it so, and tell what that came to; after a pause or stop, nothing more of it is
        written when this returns. ``after_run``: the run that a start begins is the one after it,
        so that repeating the call begins no other (0: the next one, whatever has run).

        Raises `NotFound`, `Conflict`; `OutcomeUnknown` where it is so in etcd and the database
        could not be told.
        """
        name = check_name(name)

        async def step(entry: Entry, avoid: set[str]) -> Turn | None:
            return await self._step(entry, action, after_run, avoid)

        async with self._desk.lock(name):
            return await self._desk.settle(name, step)

    async def seal(self, entry: Entry) -> None:
        """Shut the database to whoever had the resource before it was written last."""
        resource = entry.resource
        assert resource is not None
        for part in range(entry.partitions):  # all were released in one transaction
            stamp = Stamp(self._cluster, resource.id, part, resource.revision)
            await self._fence.raise_fence(stamp)
        await hit("master.pause.after_fence")
        await self._mirror.remember(entry)

    async def _step(
        self, entry: Entry, action: Action, after_run: int, avoid: set[str]
    ) -> Turn | None:
        refuse_deleted(entry)
        resource = entry.resource
        if resource is None:
            raise NotFound(f"there is no resource {entry.name}")
        turn = begun_before(entry, action, after_run) or turn_of(
            entry, resource, action, int(self._desk.office.clock.wall())
        )
        if turn.change:
            written = await self._write(entry, resource, turn, action, avoid)
            if written is None:
                return None
            entry = replace(entry, resource=written, wish=turn.wish)
            log.info("desired", resource=entry.name, action=action.value, run=turn.wish.run)
            self._desk.journal.tell(resource.id, action.value, f"run {turn.wish.run}")
        if turn.halt:
            await self._halt(entry, turn.wish)
        return turn

    async def _write(
        self, entry: Entry, resource: Resource, turn: Turn, action: Action, avoid: set[str]
    ) -> Resource | None:
        ops = [put(wish_key(entry.name), encode_wish(turn.wish))]
        if turn.halt:
            reason = f"{action.value} was asked for"
            office = self._desk.office
            ops += release_parts(entry, reason, office.clock.wall(), office.term.revision)
            return await self._desk.keep(entry, resource, None, reason, ops, avoid)
        return await self._desk.give(entry, resource, entry.definition, ops, avoid)

    async def _halt(self, entry: Entry, wish: Wish) -> None:
        await hit("master.pause.after_txn")
        try:
            await self.seal(entry)
        except StoreUnavailable as error:
            raise OutcomeUnknown(
                f"{entry.name} is {wish.state.value}, but the database could not be told yet; "
                "try again"
            ) from error
