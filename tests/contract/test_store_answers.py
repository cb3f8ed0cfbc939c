"""Answers that are kept: the first one stays, for a day, whichever process asks."""

from __future__ import annotations

import asyncio

from crawler.model import KeptAnswer
from crawler.store.answers import KEPT_S
from crawler.store.contract import Store
from tests.contract.backends import Opener
from tests.contract.rows import SetClock

ONE, OTHER = b"1" * 32, b"2" * 32


async def test_the_first_request_and_its_first_answer_stay(
    store: Store, open_another: Opener
) -> None:
    another = await open_another()
    assert await store.begin_answer("k", ONE, "3") == KeptAnswer(ONE, "3")
    assert await another.begin_answer("k", ONE, "4") == KeptAnswer(ONE, "3")
    assert await another.begin_answer("k", OTHER, "") == KeptAnswer(ONE, "3")
    await another.end_answer("k", OTHER, 200, "not its own")
    await another.end_answer("k", ONE, 200, '{"ü":1}')
    await store.end_answer("k", ONE, 409, "late")
    assert await store.begin_answer("k", ONE, "") == KeptAnswer(ONE, "3", 200, '{"ü":1}')
    assert (await store.begin_answer("K", ONE, "")).status == 0
    await store.end_answer("none", ONE, 200, "")


async def test_of_two_that_begin_at_once_one_is_first(store: Store, open_another: Opener) -> None:
    another = await open_another()
    for number in range(10):
        found = await asyncio.gather(
            store.begin_answer(f"{number}", ONE, "a"), another.begin_answer(f"{number}", OTHER, "b")
        )
        assert found[0] == found[1]


async def test_they_are_forgotten_after_a_day(store: Store, clock: SetClock) -> None:
    await store.begin_answer("old", ONE, "")
    await store.end_answer("old", ONE, 200, "x")
    clock.now += KEPT_S - 1
    assert (await store.begin_answer("old", ONE, "")).status == 200
    clock.now += 2
    assert await store.begin_answer("old", OTHER, "") == KeptAnswer(OTHER, "")
