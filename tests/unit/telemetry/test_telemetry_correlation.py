"""The id of a request is bound for the task that deals with it, and for those that this starts."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

import pytest

from crawler.telemetry.correlation import bind_id, current_id


def test_a_good_id_is_kept_and_others_are_replaced() -> None:
    def ask() -> None:
        assert bind_id("k-1") == current_id() == "k-1"
        for bad in ("", "x" * 129, "é", "a\nb"):
            made = bind_id(bad)
            assert made == current_id()
            assert len(made) == 16
        assert bind_id("") != bind_id("")

    copy_context().run(ask)
    assert current_id() == ""


@pytest.mark.parametrize("given", ["one", "two"])
async def test_tasks_have_it_from_who_started_them(given: str) -> None:
    async def deal() -> str:
        bind_id(given)
        return await asyncio.create_task(tell())

    async def tell() -> str:
        return current_id()

    assert await asyncio.create_task(deal()) == given
    assert current_id() == ""
