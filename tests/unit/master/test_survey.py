"""What a leader makes of what etcd holds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from crawler.coordination.entry import Entry
from crawler.coordination.records import Load, Status, Wish
from crawler.master.survey import Survey, hosts_of, job_of, rest_of, seats_of
from crawler.model import Assignment, Desired, Resource, State
from tests.unit.master.boards import node

HOME = node(1)
RESOURCE = Resource("7", "a", Assignment(HOME.id, HOME.address), 1, revision=20)


def entry(
    wish: Desired = Desired.RUNNING,
    status: State | None = None,
    *,
    run: int = 1,
    reported: int = 20,
    definition_revision: int = 10,
    owner: str = "7",
) -> Entry:
    report = None if status is None else Status(status, "", 1, "7", reported, HOME.id, 0.0)
    return Entry(
        "a", RESOURCE, "{}", definition_revision, Wish(wish, run, owner), 5, report, None, 20
    )


@pytest.mark.parametrize(
    ("given", "rest"),
    [
        (entry(), ""),
        (entry(status=State.RUNNING), ""),
        (entry(Desired.PAUSED), "paused"),
        (entry(Desired.STOPPED), "stopped"),
        (entry(status=State.FINISHED), "finished"),
        (entry(status=State.ERROR), "error"),
        (entry(status=State.FINISHED, run=2), ""),  # of the run before
        (entry(status=State.ERROR, definition_revision=20, reported=15), ""),  # changed since
        (entry(status=State.ERROR, reported=15), ""),  # assigned anew since
        (entry(Desired.PAUSED, owner="6"), ""),  # a wish for an earlier one of the name
    ],
)
def test_what_rests(given: Entry, rest: str) -> None:
    assert rest_of(given) == rest


def test_a_job_is_what_placing_must_know() -> None:
    job = job_of(entry(status=State.RUNNING))
    assert job is not None
    assert (job.name, job.node_id, job.address, job.revision) == ("a", HOME.id, HOME.address, 20)
    assert (job.defined, job.started, job.rest) == (True, True, "")


def test_what_is_gone_or_going_is_no_job() -> None:
    assert job_of(entry(Desired.DELETED)) is None
    assert job_of(Entry("a", wish=Wish(Desired.RUNNING, 1, "7"), wish_revision=1)) is None


def test_hosts_are_those_of_the_start_urls() -> None:
    urls = [f"https://H{n}.example:8443/x" for n in range(9)]
    assert hosts_of(json.dumps({"start_urls": [*urls[:1], *urls[:2]]})) == (
        "h0.example:8443",
        "h1.example:8443",
    )
    assert len(hosts_of(json.dumps({"start_urls": urls}))) == 4
    for odd in (None, "{", "[]", '{"start_urls": [1]}', '{"start_urls": 1}', "{}"):
        assert hosts_of(odd) == ()


def test_what_did_not_change_is_not_read_twice() -> None:
    survey = Survey()
    one, two = entry(), entry()
    (first,) = survey.jobs({"a": one})
    (second,) = survey.jobs({"a": one})
    assert first is second
    (third,) = survey.jobs({"a": two})
    assert third == first
    assert third is not first
    assert survey.jobs({}) == ()


def test_what_changed_is_looked_at_alone() -> None:
    survey, before = Survey(), entry()
    survey.jobs({"a": before, "b": replace(before, name="b")})
    (job,) = survey.update([entry(Desired.PAUSED)])
    assert (job.name, job.rest) == ("a", "paused")
    assert survey.unit("a").wish == Wish(Desired.PAUSED, 1, "7")
    assert survey.unit("b").name == "b"


def test_a_seat_has_the_trouble_that_its_worker_tells_of() -> None:
    (seat,) = seats_of({HOME.id: HOME}, {HOME.id: Load(0, 1, "no store")}, ()).values()
    assert seat.trouble == "no store"
    assert not seat.open


def test_a_seat_has_the_load_that_its_worker_reports() -> None:
    two = node(2)
    seats = seats_of({HOME.id: HOME, two.id: two}, {HOME.id: Load(5, 2)}, {two.id})
    assert [(s.active, s.drained, s.steady) for s in seats.values()] == [
        (5, False, True),
        (0, True, True),
    ]
