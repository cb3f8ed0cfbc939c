"""Who owns what: epochs, claims, fences, tombstones and the mirror, each inside one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass

from crawler.errors import Conflict, Fenced, StoreUnavailable
from crawler.model import Event, Stamp
from crawler.store import statements
from crawler.store.cleaning import clean_text
from crawler.store.contract import Job, Memo, Mirrored
from crawler.store.fencing import Claim, Fence, Token, may_claim, may_raise, outranks
from crawler.store.heritage import base_of
from crawler.store.runs import check_due, check_run, replaced
from crawler.store.sqlite.claimants import Note, Notes, Process, end_stopped
from crawler.store.sqlite.outbox import open_outbox
from crawler.store.telling import event_row

_SQL = statements.statements("sqlite", "ledger")
_LEADER = "/leader"  # no resource ID holds a slash


def store_id(connection: sqlite3.Connection) -> str:
    """The uuid of this database."""
    return str(connection.execute(_SQL["select_store_id"]).fetchone()[0])


def open_epoch(
    connection: sqlite3.Connection, cluster: str, revision: int, process: Process
) -> int:
    """The epoch of ``cluster``, which rises above all others when new. Raises `Conflict`."""
    newest = int(connection.execute(_SQL["select_newest_epoch"]).fetchone()[0])
    known = connection.execute(_SQL["select_epoch"], (cluster,)).fetchone()
    if known is None:
        epoch = newest + 1
        row = {"epoch": epoch, "cluster": cluster, "revision": revision}
        connection.execute(_SQL["insert_epoch"], row)
    else:
        epoch = _still_newest(known, newest, revision)
        connection.execute(_SQL["raise_revision"], {"epoch": epoch, "revision": revision})
    if connection.execute(_SQL["select_leader"]).fetchone() != _columns(process):
        connection.execute(_SQL["upsert_leader"], asdict(process))
    return epoch


def _still_newest(known: tuple[int, int], newest: int, revision: int) -> int:
    epoch, seen = known
    if epoch < newest:
        raise Conflict("a newer cluster uuid has taken the place of this one")
    if revision < seen:
        raise Conflict(f"etcd is at revision {revision}, but {seen} was seen of it before")
    return epoch


def claim(
    connection: sqlite3.Connection, stamp: Stamp, job: Job, process: Process, now: float
) -> Claim:
    """Raise the token to ``stamp`` and draw a claim number. Raises `Fenced`, `Conflict`."""
    token = _token(connection, stamp)
    if is_buried(connection, stamp.resource_id):
        raise Fenced(f"resource {stamp.resource_id} is deleted")
    if token[0] < connection.execute(_SQL["select_newest_epoch"]).fetchone()[0]:
        raise Fenced("this assignment is of a cluster that was replaced")
    if not may_claim(standing_fence(connection, stamp), token):
        raise Fenced(f"a newer claim or fence stands for {stamp.resource_id}/{stamp.part}")
    number = _raise(connection, stamp, token, True, process, clean_text(job.node))
    run_id, begun_at, base = _run(connection, stamp, job, now)
    detail = f"run {job.run}" + (f", part {stamp.part}" if job.parts > 1 else "")
    event = Event(0, now, "claimed", detail, job.node, job.request_id)
    note(connection, stamp.resource_id, event)
    held = Claim(
        stamp.resource_id,
        stamp.part,
        token,
        number,
        run_id,
        job.run,
        job.definition_revision,
        clean_text(job.node),
        job.parts,
        bool(job.sinks),
        base,
        begun_at,
        job.request_id,
    )
    open_outbox(connection, held, job.sinks)
    return held


def check_claim(connection: sqlite3.Connection, held: Claim) -> None:
    """Raise `Fenced` unless this very claim still stands."""
    row = (held.resource_id, held.part, *held.token, held.number)
    if connection.execute(_SQL["check_claim"], row).fetchone() is None:
        raise Fenced(f"a newer claim, fence or tombstone stands for {held.resource_id}/{held.part}")


def check_stamp(connection: sqlite3.Connection, stamp: Stamp) -> None:
    """Raise `Fenced` where something newer than this assignment stands."""
    token = _token(connection, stamp)
    if token[0] < connection.execute(_SQL["select_newest_epoch"]).fetchone()[0]:
        raise Fenced("this assignment is of a cluster that was replaced")
    if not may_raise(standing_fence(connection, stamp), token):
        raise Fenced(f"a newer claim or fence stands for {stamp.resource_id}/{stamp.part}")


def raise_fence(connection: sqlite3.Connection, stamp: Stamp) -> None:
    """Close the part to every claim at or below ``stamp``; a tombstone closes it for good."""
    token = _token(connection, stamp)
    if not is_buried(connection, stamp.resource_id) and may_raise(
        standing_fence(connection, stamp), token
    ):
        _raise(connection, stamp, token, False, Process(0, 0, ""), "")


def is_buried(connection: sqlite3.Connection, resource_id: str) -> bool:
    """Whether a tombstone stands."""
    return connection.execute(_SQL["is_buried"], (resource_id,)).fetchone() is not None


def bury(connection: sqlite3.Connection, resource_id: str) -> None:
    """Tombstone, and every part closed."""
    connection.execute(_SQL["bury_resource"], (resource_id,))
    connection.execute(_SQL["close_fences"], (resource_id,))


def note(connection: sqlite3.Connection, resource_id: str, event: Event) -> None:
    """Add an event, unless the resource is buried."""
    if not is_buried(connection, resource_id):
        connection.execute(_SQL["insert_event"], event_row(resource_id, event))


def note_all(connection: sqlite3.Connection, events: Sequence[tuple[str, Event]]) -> None:
    """Add events that others saw, each with its own time."""
    for resource_id, event in events:
        note(connection, resource_id, event)


def mirror(connection: sqlite3.Connection, entries: Sequence[Memo]) -> None:
    """Upsert by ID; tombstones stay."""
    rows = [
        {
            "id": each.id,
            "name": clean_text(each.name),
            "created_ns": each.created_ns,
            "definition": None if each.definition is None else clean_text(each.definition),
            "desired": each.desired,
            "run": each.run,
            "due": each.due,
            "since": each.since,
        }
        for each in entries
    ]
    connection.executemany(_SQL["upsert_resource"], rows)


def mirrored(connection: sqlite3.Connection) -> list[Mirrored]:
    """All that are not buried, by ID."""
    return [Mirrored(*row) for row in connection.execute(_SQL["select_resources"])]


def standing_fence(connection: sqlite3.Connection, stamp: Stamp) -> Fence | None:
    """What stands for the part now."""
    row = _fence_row(connection, stamp)
    return None if row is None else Fence((row[0], row[1]), bool(row[2]))


def _fence_row(
    connection: sqlite3.Connection, stamp: Stamp
) -> tuple[int, int, int, int, int, str] | None:
    key = (stamp.resource_id, stamp.part)
    row: tuple[int, int, int, int, int, str] | None
    row = connection.execute(_SQL["select_fence"], key).fetchone()
    return row


def _token(connection: sqlite3.Connection, stamp: Stamp) -> Token:
    known = connection.execute(_SQL["select_epoch"], (stamp.cluster,)).fetchone()
    if known is None:
        raise StoreUnavailable("the leader has yet to open this cluster's epoch in the store")
    return int(known[0]), stamp.revision


def _raise(
    connection: sqlite3.Connection,
    stamp: Stamp,
    token: Token,
    open_: bool,
    process: Process,
    node: str,
) -> int:
    row = {
        "resource_id": stamp.resource_id,
        "part": stamp.part,
        "epoch": token[0],
        "revision": token[1],
        "open": int(open_),
        "node": node,
        **asdict(process),
    }
    # Read to its end: a RETURNING statement that is not would stay open and keep the lock.
    [(number,)] = connection.execute(_SQL["upsert_fence"], row).fetchall()
    connection.execute(_SQL["raise_revision"], {"epoch": token[0], "revision": token[1]})
    return int(number)


def _run(
    connection: sqlite3.Connection, stamp: Stamp, job: Job, now: float
) -> tuple[int, float, int | None]:
    """The key of the run, when it began, and the key of its base."""
    resource = {
        "id": stamp.resource_id,
        "name": clean_text(job.name),
        "definition": clean_text(job.definition),
        "run": job.run,
        "due": job.due,
    }
    connection.execute(_SQL["insert_resource"], resource)
    key = (stamp.resource_id, job.due)
    other = connection.execute(_SQL["select_run_of_due"], key).fetchone()
    check_due(job, None if other is None else int(other[0]))
    key = (stamp.resource_id, job.run)
    new = connection.execute(_SQL["insert_run"], (*key, job.due, now, job.recipe)).rowcount
    if new:
        row = {"resource_id": stamp.resource_id, "run": job.run, "now": now}
        connection.execute(_SQL["replace_runs"], {**row, "reason": replaced(job)})
    run_id, due, begun_at, recipe, base = connection.execute(_SQL["select_run"], key).fetchone()
    check_run(job, due)
    if new:
        base = base_of(connection.execute(_SQL["select_base"], key).fetchone(), job.recipe)
        connection.execute(_SQL["set_base"], {"run_id": run_id, "base": base})
    elif recipe != job.recipe:
        base = _mix(connection, run_id, base)
    # Every part of what is taken over has to be seen to, also by an owner that is yet to come.
    parts = [stamp.part] if base is None else range(max(job.parts, stamp.part + 1))
    swept = b"" if base is not None and job.sweeps else None
    rows = [(run_id, part, swept) for part in parts]
    connection.executemany(_SQL["insert_counters"], rows)
    return int(run_id), float(begun_at), base


def _mix(connection: sqlite3.Connection, run_id: int, base: int | None) -> int | None:
    """The base from now on of a run that goes on by another definition: none, unless it is over."""
    if not connection.execute(_SQL["mix_recipes"], (run_id,)).rowcount:
        return base
    connection.execute(_SQL["forget_base"], (run_id,))
    return None


def _columns(process: Process) -> tuple[int, int, str]:
    return process.pid, process.started, process.boot


@dataclass(frozen=True, slots=True)
class PartSuccessor:
    """The newer owner of a part: it may end a stopped process that claimed it before."""

    stamp: Stamp
    notes: Notes

    def announced(self) -> AbstractContextManager[None]:
        stamp = self.stamp
        return self.notes.left(stamp.resource_id, stamp.part, stamp.cluster, stamp.revision)

    def evict(self, connection: sqlite3.Connection) -> bool:
        return _end_all(self._suspects(connection), self.notes)

    def _suspects(self, connection: sqlite3.Connection) -> Iterator[Process]:
        known = connection.execute(_SQL["select_epoch"], (self.stamp.cluster,)).fetchone()
        if known is None:
            return
        token = (int(known[0]), self.stamp.revision)
        row = _fence_row(connection, self.stamp)
        if row is not None:
            if not outranks(token, Fence((row[0], row[1]), bool(row[2]))):
                return
            yield Process(*row[3:])
        for note in self.notes.read(self.stamp.resource_id):
            if note.part == self.stamp.part and self._is_older(connection, note, token):
                yield note.process

    def _is_older(self, connection: sqlite3.Connection, note: Note, token: Token) -> bool:
        known = connection.execute(_SQL["select_epoch"], (note.cluster,)).fetchone()
        return known is not None and (int(known[0]), note.revision) < token


@dataclass(frozen=True, slots=True)
class Undertaker:
    """A leader that buries a resource: every claimant of it may be ended."""

    resource_id: str
    notes: Notes

    def announced(self) -> AbstractContextManager[None]:
        return nullcontext()  # a leader is known since it opened its epoch

    def evict(self, connection: sqlite3.Connection) -> bool:
        rows = connection.execute(_SQL["select_claimants"], (self.resource_id,)).fetchall()
        noted = [note.process for note in self.notes.read(self.resource_id)]
        return _end_all((*(Process(*row) for row in rows), *noted), self.notes)


@dataclass(frozen=True, slots=True)
class LeaderSuccessor:
    """A new leader, opening its epoch: it may end the stopped process of the last one."""

    cluster: str
    revision: int
    notes: Notes

    def announced(self) -> AbstractContextManager[None]:
        return self.notes.left(_LEADER, 0, self.cluster, self.revision)

    def evict(self, connection: sqlite3.Connection) -> bool:
        row = connection.execute(_SQL["select_leader"]).fetchone()
        last = [Process(*row)] if row else []
        noted = [note.process for note in self.notes.read(_LEADER)]
        return _end_all((*last, *noted), self.notes)


def _end_all(suspects: Iterable[Process], notes: Notes) -> bool:
    ended = [process for process in suspects if end_stopped(process)]
    for process in ended:
        notes.forget(process)
    return bool(ended)
