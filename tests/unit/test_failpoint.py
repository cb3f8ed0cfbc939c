"""Failpoints: nothing when unset, the nth passage when asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crawler import failpoint
from crawler.errors import Misconfigured, OutcomeUnknown


@pytest.fixture(autouse=True)
def disarm() -> Iterator[None]:
    yield
    failpoint.arm("")


async def test_an_unarmed_place_is_passed() -> None:
    await failpoint.hit("anywhere")
    failpoint.hit_sync("anywhere")


async def test_a_place_fails_at_the_passage_asked_for() -> None:
    failpoint.arm("here=fail@2;there=sleep(0.001)")
    await failpoint.hit("here")
    await failpoint.hit("there")
    with pytest.raises(OutcomeUnknown, match="here"):
        await failpoint.hit("here")
    failpoint.hit_sync("here")


def test_an_unreadable_table_is_refused() -> None:
    with pytest.raises(Misconfigured, match="explode"):
        failpoint.arm("here=explode")
