"""Whatever stands on a page is stored, or made storable."""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from crawler.model import Item, PageState, Request, Visit
from crawler.store.contract import Store
from tests.contract.rows import RESOURCE, all_pages, done, mark, request, seeded

PAGE = request("")

HOSTILE = ["nul\0nul", "lone \ud800 surrogate", "\udfff\ud83d", "\ud83d\ude00", "é\0", "\x1b[31m"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_stored(store: Store, text: str) -> None:
    frontier = await seeded(store, PAGE)
    link = Request(mark("x"), f"https://shop.example/{text}", text, rule=text, carry={text: text})
    item = Item(text, {text: [text, {text: text}]}, missing=(text,))
    visit = Visit(
        PAGE,
        PageState.DONE,
        reason=text,
        final_url=text,
        content_type=text,
        rule=text,
        items=(item,),
        links=(link,),
        excluded=((Request(mark("y"), text, text), text),),
    )
    progress = await frontier.commit([visit])
    assert (progress.known, progress.done, progress.items) == (3, 1, 1)
    await frontier.note(text, text)
    await frontier.strike(mark("x"), text)
    [shown] = (await frontier.window(9, 9, frozenset())).requests
    assert "\0" not in shown.url
    shown.url.encode()
    [stored] = await store.items(RESOURCE)
    [(key, value)] = stored.fields.items()
    assert value == [key, {key: key}]
    assert stored.missing == (key,)
    await all_pages(store)
    await frontier.finish(text, limit=True)


async def test_numbers_beyond_sql_are_bounded(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    link = request("x", depth=10**30, priority=-(10**30))
    fields = {"n": 10**30, "f": math.inf, "nan": math.nan}
    visit = Visit(
        PAGE,
        PageState.DONE,
        status=10**30,
        size_bytes=10**30,
        elapsed_s=math.inf,
        links=(link,),
        items=(Item("r", fields),),
    )
    assert (await frontier.commit([visit])).pending == 1
    [stored] = await store.items(RESOURCE)
    assert stored.fields == {"n": str(10**30), "f": "inf", "nan": "nan"}


async def test_fields_of_every_type_are_stored(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    fields = {
        "str": "x",
        "int": 2**53 + 1,
        "float": 0.5,
        "bool": True,
        "none": None,
        "decimal": Decimal("12.30"),
        "datetime": datetime(2024, 2, 29, 12, tzinfo=UTC),
        "date": date(2024, 2, 29),
        "many": ("a", 1),
        "nested": {"a": [Decimal(1)]},
        "bytes": b"x",
        "set": {"b", "a"},
    }
    await frontier.commit([done(PAGE, items=(Item("r", fields),))])
    [stored] = await store.items(RESOURCE)
    assert stored.fields == fields | {
        "decimal": "12.30",
        "datetime": "2024-02-29T12:00:00+00:00",
        "date": "2024-02-29",
        "many": ["a", 1],
        "nested": {"a": ["1"]},
        "bytes": "x",
        "set": ["a", "b"],
    }


async def test_the_longest_host_of_a_url_is_stored(store: Store) -> None:
    """No index of a backend refuses it, and no commit fails for what stands on a page."""
    host = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789-", k=2000))
    frontier = await seeded(store, PAGE)
    assert (await frontier.commit([done(PAGE, request("x", host))])).known == 2
    assert [each.host for each in (await frontier.window(9, 9, frozenset())).requests] == [host]
    assert (await store.budgets("a").reserve({host: 0.0}))[host].held
