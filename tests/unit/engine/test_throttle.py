"""All throttles combine by the strictest, and say which it was."""

import pytest

from crawler.engine.throttle import NEVER, HostPace, Turn, Wait, next_start, spent

NOW = 100.0
HELD = HostPace(turn=Turn(since=90.0, until=110.0))


@pytest.mark.parametrize(
    ("pace", "at", "reason"),
    [
        (HELD._replace(last_start=99.5, download_delay_s=1.0), 100.5, "download_delay"),
        (
            HELD._replace(last_start=99.5, download_delay_s=1.0, crawl_delay_s=5.0),
            104.5,
            "Crawl-delay",
        ),
        (
            HELD._replace(last_start=99.5, download_delay_s=9.0, crawl_delay_s=5.0),
            108.5,
            "download_delay",
        ),
        (
            HELD._replace(
                last_start=99.5, crawl_delay_s=5.0, paused_until=107.0, paused="Retry-After"
            ),
            107.0,
            "Retry-After",
        ),
        (
            HELD._replace(paused_until=103.0, turn=Turn(90.0, 110.0, not_before=104.0)),
            104.0,
            "the host was asked",
        ),
        (HELD._replace(active=1), NEVER, "concurrent_requests_per_domain"),
        (HELD._replace(reading=True, limit=4), NEVER, "robots.txt is being read"),
        (HELD._replace(turn=None), NEVER, "waiting for a turn"),
        (HELD._replace(turn=Turn(90.0, 100.0)), NEVER, "waiting for a turn"),
        (HELD._replace(turn=Turn(90.0, 110.0, wanted=True), served=1), NEVER, "handing the host"),
    ],
)
def test_the_strictest_counts(pace: HostPace, at: float, reason: str) -> None:
    wait = next_start(pace, NOW)
    assert wait.at == at
    assert wait.reason.startswith(reason)


def test_nothing_stands_in_the_way() -> None:
    wait = next_start(HELD._replace(last_start=98.0, download_delay_s=1.0), NOW)
    assert wait.at <= NOW
    assert wait.sentence(NOW) == ""


def test_sentences_are_for_people() -> None:
    assert Wait(100.72, "Crawl-delay").sentence(NOW) == "next in 0.7 s, because Crawl-delay"
    assert Wait(NEVER, "something").sentence(NOW) == "something"


@pytest.mark.parametrize(
    ("wanted", "served", "since", "expected"),
    [
        (True, 1, 98.0, True),
        (False, 1, 98.0, False),
        (True, 0, 98.0, False),
        (True, 1, 98.5, False),
    ],
)
def test_a_wanted_turn_lasts_a_request_and_two_seconds(
    wanted: bool, served: int, since: float, expected: bool
) -> None:
    turn = Turn(since, 110.0, wanted=wanted)
    assert spent(HELD._replace(turn=turn, served=served), NOW) is expected


@pytest.mark.parametrize(("delay_s", "expected"), [(1.0, False), (1.5, True), (60.0, True)])
def test_a_turn_whose_next_request_would_come_too_late_is_over(
    delay_s: float, expected: bool
) -> None:
    turn = Turn(99.0, 110.0, wanted=True)
    pace = HELD._replace(turn=turn, served=1, last_start=99.5, download_delay_s=delay_s)
    assert spent(pace, NOW) is expected
