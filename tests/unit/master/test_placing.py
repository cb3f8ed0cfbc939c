"""Choices while many calls ask at once."""

from __future__ import annotations

from collections import Counter

from crawler.master.placing import Placing
from crawler.master.scales import Scales, weigh
from crawler.master.situation import Job, Situation
from tests.unit.master.boards import node, on, workers


def chosen(placing: Placing, name: str) -> str:
    seat = placing.choose(Job(name)).seat
    assert seat is not None
    return seat.node.id


def test_before_anything_was_weighed_there_is_nobody() -> None:
    assert Placing().choose(Job("a")).seat is None


def test_a_choice_counts_before_it_is_written() -> None:
    placing = Placing()
    placing.renew(Scales(workers(3)), ())
    assert set(Counter(chosen(placing, f"r{n}") for n in range(9)).values()) == {3}


def test_a_renewal_keeps_what_is_not_yet_in_the_catalog() -> None:
    placing = Placing()
    placing.renew(Scales(workers(2)), ())
    first = chosen(placing, "a")
    placing.renew(Scales(workers(2)), ())
    assert chosen(placing, "b") != first


def test_what_the_catalog_has_heard_of_counts_once() -> None:
    placing = Placing()
    placing.renew(Scales(workers(2)), ())
    assert chosen(placing, "a") == node(1).id
    jobs = (on("a", node(1)),)
    placing.renew(weigh(Situation(jobs, workers(2))), jobs)
    assert [chosen(placing, name) for name in "bcd"] == [node(2).id, node(1).id, node(2).id]


def test_a_dropped_choice_counts_no_more_and_a_kept_one_goes_on() -> None:
    placing = Placing()
    placing.renew(Scales(workers(2)), ())
    assert chosen(placing, "a") == node(1).id
    placing.drop("a")
    assert chosen(placing, "b") == node(1).id
    placing.keep("b")
    placing.drop("b")
    assert chosen(placing, "c") == node(2).id
