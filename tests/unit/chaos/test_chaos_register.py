"""Which answers of the API are explained by an order of the calls, and which by none: S7 and S8."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.chaos.history import Call, EtcdWrite, Kind, Outcome
from tests.acceptance.chaos.register import MOST_CALLS, check_answers, trace_of
from tests.unit.chaos.histories import ONE, OTHER_SPEC, SPEC, Etcd, call

ADD, PUT, DELETE, GET = Kind.ADD, Kind.PUT, Kind.DELETE, Kind.GET
INFO, FAIL = Outcome.INFO, Outcome.FAIL


def held(*ids: str, gone: bool = False, spec: str = "") -> list[EtcdWrite]:
    """What etcd knows of a name that had these IDs one after the other."""
    etcd = Etcd()
    for number, resource_id in enumerate(ids):
        if number:
            etcd.erase("a")
        etcd.assign(1, ONE, resource_id=resource_id)
        if spec:
            etcd.define("a", spec)
    if gone:
        etcd.erase("a")
    return etcd.writes


def add(at: float, until: float, resource_id: str = "", spec: str = "") -> Call:
    return call(ADD, at, until, spec=spec, resource_id=resource_id)


def unknown(kind: Kind, at: float, spec: str = "") -> Call:
    return call(kind, at, at + 1, INFO, spec=spec)


def get(at: float, until: float, resource_id: str = "", spec: str = "") -> Call:
    return call(GET, at, until, spec=spec, resource_id=resource_id)


def delete(at: float, until: float) -> Call:
    return call(DELETE, at, until)


EXPLAINED: dict[str, tuple[list[EtcdWrite], list[Call]]] = {
    "nothing happened": ([], [get(1, 2)]),
    "an add and a look": (held("1"), [add(1, 2, "1"), get(3, 4, "1")]),
    "an add that is repeated": (held("1"), [add(1, 2, "1"), add(3, 4, "1"), add(3, 5, "1")]),
    "a delete that is repeated": (
        held("1", gone=True),
        [add(1, 2, "1"), delete(3, 4), delete(5, 6), get(7, 8)],
    ),
    "one that comes again is another": (
        held("1", "2"),
        [add(1, 2, "1"), delete(3, 4), add(5, 6, "2")],
    ),
    "a look beside an add sees it or not": (held("1"), [add(1, 4, "1"), get(2, 3), get(2, 3, "1")]),
    "an unknown add that happened": (held("1"), [unknown(ADD, 1), get(3, 4, "1")]),
    "an unknown add that did not": ([], [unknown(ADD, 1), get(3, 4)]),
    "an unknown add that happened late": (held("1"), [unknown(ADD, 1), get(3, 4), get(5, 6, "1")]),
    "an unknown delete that happened": (held("1", gone=True), [add(1, 2, "1"), unknown(DELETE, 3)]),
    "an unknown delete that did not": (held("1"), [add(1, 2, "1"), unknown(DELETE, 3)]),
    "a failed add": ([], [call(ADD, 1, 2, FAIL), get(3, 4)]),
    "a failed delete": (held("1"), [add(1, 2, "1"), call(DELETE, 3, 4, FAIL), get(5, 6, "1")]),
    "a definition that is changed": (
        [*held("1", spec=SPEC), *held("1", spec=OTHER_SPEC)],
        [
            call(PUT, 1, 2, spec=SPEC, resource_id="1"),
            call(PUT, 3, 4, spec=OTHER_SPEC, resource_id="1"),
            get(5, 6, "1", OTHER_SPEC),
        ],
    ),
    "an add races a delete": (
        held("1", "2"),
        [add(1, 2, "1"), delete(3, 9), add(4, 8, "2")],
    ),
}

UNEXPLAINED: dict[str, tuple[list[EtcdWrite], list[Call]]] = {
    "an acknowledged add is lost": ([], [add(1, 2, "1")]),
    "an acknowledged add is not seen": (held("1"), [add(1, 2, "1"), get(3, 4)]),
    "an acknowledged delete is lost": (held("1"), [add(1, 2, "1"), delete(3, 4)]),
    "a deleted one is seen": (
        held("1", gone=True),
        [add(1, 2, "1"), delete(3, 4), get(5, 6, "1")],
    ),
    "a repeated add makes another": (held("1", "2"), [add(1, 2, "1"), add(3, 4, "2")]),
    "a repeated add is told another ID": (held("1"), [add(1, 2, "1"), add(3, 4, "2")]),
    "a failed add happened": (held("1"), [call(ADD, 1, 2, FAIL)]),
    "a failed delete happened": (
        held("1", gone=True),
        [add(1, 2, "1"), call(DELETE, 3, 4, FAIL)],
    ),
    "an unknown add happened twice": (
        held("1", "2"),
        [unknown(ADD, 1), delete(3, 4), get(5, 6, "2")],
    ),
    "an old definition is seen": (
        [*held("1", spec=SPEC), *held("1", spec=OTHER_SPEC)],
        [
            call(PUT, 1, 2, spec=SPEC, resource_id="1"),
            call(PUT, 3, 4, spec=OTHER_SPEC, resource_id="1"),
            get(5, 6, "1", SPEC),
        ],
    ),
    "an add of another definition is acknowledged": (
        held("1", spec=SPEC),
        [call(PUT, 1, 2, spec=SPEC, resource_id="1"), add(3, 4, "1", OTHER_SPEC)],
    ),
    "seen, and then not any more": (held("1"), [unknown(ADD, 1), get(3, 4, "1"), get(5, 6)]),
}


@pytest.mark.parametrize(("writes", "calls"), EXPLAINED.values(), ids=EXPLAINED)
def test_answers_that_an_order_explains(writes: list[EtcdWrite], calls: list[Call]) -> None:
    finding, left_out = check_answers(calls, writes)
    assert (finding.violations, left_out) == ((), ())


@pytest.mark.parametrize(("writes", "calls"), UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_answers_that_no_order_explains(writes: list[EtcdWrite], calls: list[Call]) -> None:
    finding, left_out = check_answers(calls, writes)
    assert len(finding.violations) == 1
    assert left_out == ()


def test_a_definition_of_a_failed_call_in_etcd_is_found() -> None:
    """Also where a later call took it back."""
    writes = [*held("1", spec=SPEC), *held("1", spec=OTHER_SPEC), *held("1", spec=SPEC)]
    good = call(PUT, 1, 2, spec=SPEC, resource_id="1")
    bad = call(PUT, 3, 4, FAIL, spec=OTHER_SPEC)
    again = call(PUT, 5, 6, spec=SPEC, resource_id="1")
    (violation,) = check_answers([good, bad, again], writes)[0].violations
    assert OTHER_SPEC in violation


def test_names_are_judged_apart_and_one_with_too_many_calls_not_at_all() -> None:
    calls = [add(n, n + 0.5, "1") for n in range(MOST_CALLS + 1)]
    finding, left_out = check_answers(calls, held("1"))
    assert (finding.violations, left_out) == ((), ("a",))
    other = Call("c2", "b", ADD, "", 1, 2, Outcome.OK, "9")
    finding, left_out = check_answers([*calls, other], held("1"))
    assert (len(finding.violations), left_out) == (1, ("a",))


@pytest.mark.parametrize("mark", [Etcd.mark_deleted, Etcd.erase])
def test_what_is_marked_deleted_counts_as_gone(mark: Callable[[Etcd, str], int]) -> None:
    etcd = Etcd()
    etcd.assign(1, ONE)
    etcd.define("a", SPEC)
    assert trace_of("a", etcd.writes).last.there
    mark(etcd, "a")
    assert not trace_of("a", etcd.writes).last.there


def test_the_hardest_search_ends_in_time() -> None:
    """All at once, all unknown, and nothing that fits."""
    calls = [unknown(ADD if n % 2 else DELETE, 1) for n in range(MOST_CALLS - 1)]
    finding, _ = check_answers([*calls, get(1, 2, "9")], held("1", "2", "3", "4", "5"))
    assert len(finding.violations) == 1
