"""Whether the API's answers were true: S7 and S8 of a recorded history.

Every name is a register of its own: absent, or present with an ID and a definition. An order of the
calls is searched that fits both real time and what was answered, the way of Wing and Gong ("Testing
and Verifying Concurrent Objects", 1993): try each call that no other one must come before, and go
back where none fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.acceptance.chaos.history import Call, EtcdWrite, Finding, Kind, Outcome
from tests.acceptance.chaos.replay import DEFINITIONS, RESOURCES, WISHES, record

MOST_CALLS = 10  # per name; the search is exponential


@dataclass(frozen=True, slots=True)
class Register:
    """One name: how many resources it has been so far; the last is there still, with its
    definition, or is not."""

    born: int = 0
    there: bool = False
    spec: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """What etcd knows of one name: the IDs that it has had, in order; every definition that was
    ever written; and how it ended."""

    ids: tuple[str, ...] = ()
    specs: frozenset[str] = field(default_factory=frozenset)
    last: Register = Register()


def check_answers(
    calls: Sequence[Call], writes: Sequence[EtcdWrite]
) -> tuple[Finding, tuple[str, ...]]:
    """S7 and S8: acknowledged calls and those of unknown outcome fit in one order with what etcd
    holds; what definitely failed is not in it. Also the names with too many calls to be judged."""
    violations: list[str] = []
    left_out: list[str] = []
    for name, called in sorted(_by_name(calls).items()):
        trace = trace_of(name, writes)
        effective = [call for call in called if call.outcome is not Outcome.FAIL]
        violations += _unasked(name, effective, trace)
        if len(effective) > MOST_CALLS:
            left_out.append(name)
        elif not has_order(effective, trace):
            violations.append(
                f"{name}: no order of {len(effective)} calls explains their answers and "
                f"etcd's history (IDs {list(trace.ids)}, there at the end: {trace.last.there})"
            )
    looked_at = f"{len(calls)} calls on {len(_by_name(calls))} names"
    return Finding("S7 and S8 the API's answers", looked_at, tuple(violations)), tuple(left_out)


def trace_of(name: str, writes: Sequence[EtcdWrite]) -> Trace:
    """What became of this name in etcd. Once it is marked deleted it counts as gone."""
    ids: list[str] = []
    specs: set[str] = set()
    held: dict[str, bytes | None] = {}
    for write in writes:
        held[write.key] = write.value
        if write.value is None:
            continue
        if write.key == RESOURCES + name:
            resource_id = str(record(write.value).get("ID", ""))
            if not ids or ids[-1] != resource_id:
                ids.append(resource_id)
        elif write.key == DEFINITIONS + name:
            specs.add(write.value.decode(errors="replace"))
    marked = record(held.get(WISHES + name) or b"").get("state") == "deleted"
    there = held.get(RESOURCES + name) is not None and not marked
    spec = (held.get(DEFINITIONS + name) or b"").decode(errors="replace") if there else ""
    return Trace(tuple(ids), frozenset(specs), Register(len(ids), there, spec))


def has_order(calls: Sequence[Call], trace: Trace) -> bool:
    """Whether some order fits. Calls of unknown outcome may be left out, and never end."""
    dead: set[tuple[frozenset[int], Register]] = set()

    def search(left: frozenset[int], register: Register) -> bool:
        if register == trace.last and all(calls[i].outcome is Outcome.INFO for i in left):
            return True
        if (left, register) in dead:
            return False
        dead.add((left, register))
        return any(
            search(left - {i}, after)
            for i in _firsts(left, calls)
            if (after := apply(calls[i], register, trace.ids)) is not None
        )

    return search(frozenset(range(len(calls))), Register())


def apply(call: Call, register: Register, ids: tuple[str, ...]) -> Register | None:
    """The register after the call; None where the call cannot have been answered so there."""
    if call.kind is Kind.GET:
        after = register
    elif call.kind is Kind.DELETE:
        after = Register(register.born)
    elif not register.there:
        after = Register(register.born + 1, True, call.spec)
    elif call.kind is Kind.PUT:
        after = Register(register.born, True, call.spec)
    elif call.spec in ("", register.spec):
        after = register
    else:
        return None  # an add of another definition is refused
    if after.born > len(ids) or (call.outcome is Outcome.OK and not _says(call, after, ids)):
        return None
    return after


def _says(call: Call, register: Register, ids: tuple[str, ...]) -> bool:
    """Whether an ok fits. The answer of a delete says nothing: one that finds nothing is done; that
    of an add over HTTP names the worker only."""
    if call.kind is Kind.DELETE or (call.kind is Kind.ADD and not call.resource_id):
        return True
    if not register.there:
        return not call.resource_id
    fits = call.resource_id == ids[register.born - 1]
    return fits and (call.kind is not Kind.GET or call.spec in ("", register.spec))


def _firsts(left: frozenset[int], calls: Sequence[Call]) -> Iterator[int]:
    """The calls that may come next: none that is left had ended before they began."""
    ends = [calls[i].returned for i in left if calls[i].outcome is Outcome.OK]
    soonest = min(ends, default=float("inf"))
    return (i for i in sorted(left) if calls[i].invoked <= soonest)


def _unasked(name: str, effective: Sequence[Call], trace: Trace) -> Iterator[str]:
    asked = {call.spec for call in effective if call.kind in (Kind.ADD, Kind.PUT)}
    for spec in sorted(trace.specs - asked):
        yield f"{name}: etcd was given a definition that only failed calls asked for: {spec[:80]}"


def _by_name(calls: Sequence[Call]) -> dict[str, list[Call]]:
    names: dict[str, list[Call]] = {}
    for call in calls:
        names.setdefault(call.name, []).append(call)
    return names
