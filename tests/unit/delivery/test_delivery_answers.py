"""What an answer of a webhook means, and how long a sink is left alone after it."""

from __future__ import annotations

import random

import pytest

from crawler.delivery.courier import REFUSED_S, RETRY, wait_after
from crawler.delivery.sending import judge
from crawler.errors import DeliveryFailed

CHANCE = random.Random(1)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_means_delivered(status: int) -> None:
    judge(status, None)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 413])
def test_redirects_and_most_of_4xx_are_refusals(status: int) -> None:
    with pytest.raises(DeliveryFailed, match=f"HTTP {status}") as failed:
        judge(status, None)
    assert failed.value.refused


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_other_answers_pass(status: int) -> None:
    with pytest.raises(DeliveryFailed, match=f"HTTP {status}") as failed:
        judge(status, None)
    assert not failed.value.refused


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("120", 120.0),
        ("-1", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("", None),
        ("²", None),
    ],
)
def test_retry_after_is_read_in_seconds(text: str, wait_s: float | None) -> None:
    with pytest.raises(DeliveryFailed) as failed:
        judge(503, text)
    assert failed.value.retry_after_s == wait_s


def test_waits_grow_to_minutes_and_no_further() -> None:
    failure = DeliveryFailed("HTTP 503")
    waits = [[wait_after(failure, n, CHANCE) for _ in range(200)] for n in range(40)]
    assert max(waits[0]) <= RETRY.base_s
    assert max(waits[6]) > max(waits[2]) > max(waits[0])
    assert RETRY.cap_s * 0.9 < max(waits[39]) <= RETRY.cap_s
    assert len(set(waits[39])) > 100, "no jitter"


def test_a_receiver_s_own_wait_is_kept() -> None:
    assert wait_after(DeliveryFailed("HTTP 429", retry_after_s=1200.0), 0, CHANCE) == 1200.0


def test_a_refusal_waits_for_somebody_to_change_something() -> None:
    assert wait_after(DeliveryFailed("HTTP 403", refused=True), 0, CHANCE) == REFUSED_S
