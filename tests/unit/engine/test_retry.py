"""Failures lead to another attempt or to an end, with a stable reason."""

import random
from email.utils import formatdate

import pytest

from crawler.engine.retry import MAX_WAIT_S, Again, GiveUp, decide, refusal, retry_after_s
from crawler.errors import FetchFailed

NOW = 1_700_000_000.0
CODES = (429, 500, 503)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("9" * 400, None),
        ("Fri, 99 Foo 2023 99:99:99 GMT", None),
        ("\u0661", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after_s(value, formatdate(NOW, usegmt=True)) == seconds


def test_a_date_says_nothing_where_the_server_does_not_tell_the_time() -> None:
    for date in ("", "noon", "\ud800"):
        assert retry_after_s(formatdate(NOW + 90, usegmt=True), date) is None
        assert retry_after_s("90", date) == 90.0


def test_statuses_become_failures() -> None:
    assert refusal(200, None, CODES) is None
    assert refusal(204, None, CODES) is None
    gone = refusal(404, None, CODES)
    assert gone is not None
    assert (gone.reason, gone.retry, gone.status) == ("http 404", False, 404)
    busy = refusal(503, 7.0, CODES)
    assert busy is not None
    assert (busy.reason, busy.retry, busy.retry_after_s) == ("http 503", True, 7.0)


def test_attempts_are_counted_and_spaced() -> None:
    chance = random.Random(1)
    failure = FetchFailed("timeout", retry=True)
    for attempts in range(5):
        decision = decide(failure, attempts, 5, chance)
        assert isinstance(decision, Again)
        assert 0.5 <= decision.delay_s <= max(0.5, 2.0**attempts)
        assert decision.host_s == 0.0
    assert decide(failure, 5, 5, chance) == GiveUp("timeout")
    assert decide(FetchFailed("too large", retry=False), 0, 5, chance) == GiveUp("too large")


def test_a_server_is_left_alone_whoever_is_given_up() -> None:
    chance = random.Random(1)
    last = FetchFailed("http 429", retry=True, status=429, retry_after_s=30.0)
    assert decide(last, 2, 2, chance) == GiveUp("http 429", 30.0)
    final = FetchFailed("http 503", retry=False, status=503, retry_after_s=1e9)
    assert decide(final, 0, 2, chance) == GiveUp("http 503", MAX_WAIT_S)


def test_a_busy_server_is_left_alone() -> None:
    chance = random.Random(1)
    asked = decide(FetchFailed("http 503", retry=True, status=503, retry_after_s=30), 0, 2, chance)
    assert asked == Again(30, 30, "http 503", "Retry-After")
    silent = decide(FetchFailed("http 429", retry=True, status=429), 0, 2, chance)
    assert isinstance(silent, Again)
    assert silent.host_s == silent.delay_s > 0
    assert silent.host_reason == "http 429"
    soon = decide(FetchFailed("http 503", retry=True, status=503, retry_after_s=0.1), 0, 2, chance)
    assert isinstance(soon, Again)
    assert soon.host_s > 0.1
    assert soon.host_reason == "http 503"
    forever = decide(
        FetchFailed("http 429", retry=True, status=429, retry_after_s=1e9), 0, 2, chance
    )
    assert isinstance(forever, Again)
    assert forever.delay_s == MAX_WAIT_S
