"""Comings and goings: whom a leader trusts, and when the breaker holds."""

from __future__ import annotations

from crawler.master.members import Members

ALL = ["w1", "w2", "w3", "w4"]


def begun(live: list[str] = ALL, assigned: list[str] = ALL) -> Members:
    members = Members(10.0)
    members.begin(live, assigned, 0.0)
    return members


def test_a_worker_never_seen_before_is_trusted_at_once() -> None:
    members = begun()
    assert members.observe([*ALL, "w5"], 1.0)
    assert members.steady("w5", 1.0)
    assert members.hold(1.0) is None


def test_one_that_vanished_must_stay_up_ten_seconds() -> None:
    members = begun()
    members.observe(ALL[1:], 1.0)
    members.observe(ALL, 2.0)
    assert not members.steady("w1", 11.9)
    assert members.steady("w1", 12.0)
    assert members.next_change(2.0) == 12.0


def test_every_further_time_doubles_that() -> None:
    members = begun()
    for number in range(3):
        members.observe(ALL[1:], 20.0 * number)
        members.observe(ALL, 20.0 * number + 1)
    assert not members.steady("w1", 41 + 39.9)
    assert members.steady("w1", 41 + 40)


def test_five_minutes_later_it_is_forgotten() -> None:
    members = begun()
    members.observe(ALL[1:], 0.0)
    members.observe(ALL, 301.0)
    assert members.steady("w1", 301.0)


def test_an_orphan_waits_a_moment_for_company() -> None:
    members = begun()
    members.observe(ALL[1:], 1.0)
    assert members.settling(1.2) == {"w1"}
    assert members.next_change(1.2) == 1.3
    assert members.settling(1.31) == frozenset()
    members.observe(ALL, 1.1)
    assert members.settling(1.2) == frozenset()


def test_whoever_vanished_with_half_of_the_others_is_trusted_at_once() -> None:
    members = begun()
    members.observe(ALL[3:], 1.0)
    members.observe(ALL, 1.5)
    assert all(members.steady(node_id, 1.5) for node_id in ALL)
    assert members.hold(1.5) is not None


def test_half_of_the_workers_within_a_second_trip_the_breaker() -> None:
    members = begun()
    members.observe(ALL[1:], 1.0)
    members.observe(ALL[2:], 1.9)
    hold = members.hold(2.0)
    assert hold is not None
    assert hold.until == 11.9
    assert hold.reason == "2 of 4 workers vanished within a second; waiting for them 10 s"
    assert members.next_change(3.0) == 11.9
    assert members.hold(11.9) is None


def test_the_next_to_vanish_after_that_gets_a_keepalive_to_come_back_within() -> None:
    members = begun()
    members.observe(ALL[2:], 1.0)
    members.observe(ALL, 2.0)
    members.observe(ALL[1:], 15.0)
    assert members.hold(15.0) is None
    assert members.next_change(15.0) == 15.0 + 10 / 3 + 0.3
    members.observe([*ALL[1:], "w5"], 17.0)  # a second and more later: still remembered
    assert members.settling(18.6) == {"w1"}
    assert members.settling(18.7) == frozenset()
    members.observe([*ALL, "w5"], 30.0)
    members.observe([*ALL[1:], "w5"], 32.0)  # long after that one is on its own again
    assert members.settling(32.2) == {"w1"}
    assert members.settling(32.4) == frozenset()


def test_those_that_came_back_meanwhile_count() -> None:
    members = begun()
    members.observe(ALL[1:], 1.0)
    members.observe(["w1", "w3", "w4"], 1.5)
    assert members.hold(1.5) is not None


def test_one_worker_or_fewer_than_half_or_slower_do_not() -> None:
    alone = begun(["w1"], ["w1"])
    alone.observe([], 1.0)
    assert alone.hold(1.0) is None
    many = begun([*ALL, "w5"], [])
    many.observe(["w3", "w4", "w5"], 1.0)
    assert many.hold(1.0) is None
    slow = begun()
    slow.observe(ALL[1:], 1.0)
    slow.observe(ALL[2:], 2.5)
    assert slow.hold(2.5) is None


def test_half_absent_to_a_new_leader_trip_it_too() -> None:
    members = begun(["w1", "w2"], ALL)
    hold = members.hold(0.0)
    assert hold is not None
    assert hold.reason.startswith("2 of 4 workers were absent")
    assert begun(["w1", "w2", "w3"], ALL).hold(0.0) is None


def test_one_that_is_absent_when_a_term_begins_gets_a_second() -> None:
    members = begun(ALL[1:], ALL)
    assert members.settling(0.9) == {"w1"}
    assert members.next_change(0.9) == 1.0
    assert members.settling(1.0) == frozenset()
    members.observe(ALL, 0.5)
    assert members.settling(0.9) == frozenset()


def test_those_that_returned_before_the_term_began_count() -> None:
    members = Members(10.0)
    members.begin(ALL[1:], ALL, 0.0, returned=["w2"])
    hold = members.hold(0.0)
    assert hold is not None
    assert hold.reason.startswith("2 of 4 workers were absent")
    assert members.steady("w2", 0.0)


def test_one_that_returned_before_the_term_began_is_trusted() -> None:
    members = Members(10.0)
    members.begin(ALL, ALL, 0.0, returned=["w2"])
    assert members.hold(0.0) is None
    assert members.steady("w2", 0.0)


def test_whoever_comes_back_wins_the_others_another_ttl() -> None:
    members = begun()
    members.observe(ALL[3:], 1.0)
    members.observe([*ALL[3:], "w5"], 5.0)  # nobody waited for this one
    members.observe(["w1", "w4", "w5"], 9.0)
    assert members.hold(18.9) is not None
    members.observe(["w1", "w2", "w4", "w5"], 18.0)
    assert members.hold(27.9) is not None
    members.observe([*ALL, "w5"], 27.0)  # nobody is missing any more
    assert members.hold(28.0) is None


def test_the_breaker_does_not_hold_for_ever() -> None:
    many = [f"w{number}" for number in range(9)]
    members = begun(many, many)
    members.observe([], 0.0)
    for back in range(1, 9):
        members.observe(many[:back], back * 4.0)
    assert members.hold(29.9) is not None
    assert members.hold(30.0) is None


def test_nothing_new_is_nothing() -> None:
    members = begun()
    assert not members.observe(ALL, 5.0)
    assert members.next_change(5.0) is None


def test_one_that_cannot_work_is_given_up_after_three_times_to_live() -> None:
    members = begun()
    members.hear(["w1"], 1.0)
    members.hear(["w1", "w2"], 20.0)
    assert not members.given_up("w1", 30.9)
    assert members.next_change(20.0) == 31.0
    assert members.given_up("w1", 31.0)
    assert not members.given_up("w2", 31.0)


def test_a_good_moment_in_between_counts() -> None:
    members = begun()
    members.hear(["w1"], 1.0)
    members.hear([], 20.0)
    members.hear(["w1"], 21.0)
    assert not members.given_up("w1", 31.0)
    assert members.given_up("w1", 51.0)
