"""What people ask of single pages and items: answered from what was committed, in bounded steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crawler.errors import Fenced, InvalidInput, NotFound
from crawler.model import Failures, Item, PageState, Progress, Visit
from crawler.store.batch import ATTEMPTS_KEPT
from crawler.store.contract import Memo, Mirrored, Store
from crawler.story import Reason, Story
from tests.contract.rows import (
    NOON,
    RESOURCE,
    SetClock,
    claimed,
    done,
    mark,
    request,
    seeded,
    stamp,
)

START, SHELF, LAMP = request(""), request("shelf"), request("lamp")


async def test_a_story_goes_from_discovery_to_items(store: Store) -> None:
    frontier = await seeded(store, START)
    await frontier.commit([done(START, SHELF)])
    await frontier.commit([done(SHELF, LAMP)])
    items = (Item("product", {"name": "Lamp"}), Item("product", {"name": "Shade"}, ("price",)))
    await frontier.commit([done(LAMP, request("bulb"), items=items, final_url=LAMP.url + "#x")])
    story = await store.story(RESOURCE, LAMP.fingerprint)
    assert story is not None
    assert (story.run, story.method, story.final_url) == (1, "GET", LAMP.url + "#x")
    assert (story.page.url, story.page.key) == (LAMP.url, LAMP.fingerprint.hex())
    assert [page.url for page in story.way] == [SHELF.url, START.url]
    assert story.found == (request("bulb").url,)
    assert [item.fields["name"] for item in story.items] == ["Lamp", "Shade"]
    assert {item.url for item in story.items} == {LAMP.url}
    [visit] = story.runs
    assert (visit.run, visit.state, visit.status, visit.fetched_at) == (
        1, PageState.DONE, 200, NOON,
    )  # fmt: skip


def missed(attempts: int, reason: str, state: PageState = PageState.PENDING, **more: Any) -> Visit:
    """Attempt number ``attempts`` + 1 at the start page, which came to nothing."""
    return Visit(replace(START, attempts=attempts), state, reason, **more)


def told(story: Story | None) -> list[tuple[float, PageState, int, str]]:
    assert story is not None
    return [(each.at, each.state, each.status, each.reason) for each in story.attempts]


async def test_a_story_tells_of_each_attempt(store: Store, clock: SetClock) -> None:
    frontier = await seeded(store, START)
    first = missed(0, "http 503", status=503, elapsed_s=0.5)
    await frontier.commit([first])
    await frontier.commit([first])  # its answer was lost
    await frontier.commit([Visit(replace(START, attempts=1), PageState.PENDING, links=(SHELF,))])
    clock.now += 10
    await frontier.strike(START.fingerprint, "killed its process")
    clock.now += 10
    await frontier.commit([missed(2, "timeout"), missed(3, "timeout", PageState.FAILED)])
    failed = [
        (NOON, PageState.PENDING, 503, "http 503"),
        (NOON + 10, PageState.PENDING, 0, "killed its process"),
        (NOON + 20, PageState.PENDING, 0, "timeout"),
        (NOON + 20, PageState.FAILED, 0, "timeout"),
    ]
    story = await store.story(RESOURCE, START.fingerprint)
    assert told(story) == failed
    assert story is not None
    assert (story.attempts[0].elapsed_s, story.attempts[0].node) == (0.5, "worker-1")
    clock.now += 10
    pages = await store.failed(RESOURCE, 1, Failures())
    await store.retry(stamp(10), 1, pages)
    assert told(await store.story(RESOURCE, START.fingerprint)) == failed
    await frontier.commit([done(START)])
    expected = [*failed, (NOON + 30, PageState.DONE, 200, "")]
    assert told(await store.story(RESOURCE, START.fingerprint)) == expected
    assert told(await store.story(RESOURCE, SHELF.fingerprint)) == []


async def test_of_very_many_attempts_the_latest_are_told(store: Store, clock: SetClock) -> None:
    frontier = await seeded(store, START)
    for attempts in range(ATTEMPTS_KEPT + 5):
        clock.now += 1
        await frontier.commit([missed(attempts, f"try {attempts}")])
    story = await store.story(RESOURCE, START.fingerprint)
    assert [reason for *_, reason in told(story)] == [
        f"try {n}" for n in range(5, ATTEMPTS_KEPT + 5)
    ]


async def test_a_fenced_attempt_is_not_told(store: Store) -> None:
    frontier = await seeded(store, START)
    await claimed(store, 11)
    with pytest.raises(Fenced):
        await frontier.commit([missed(0, "timeout")])
    assert told(await store.story(RESOURCE, START.fingerprint)) == []


async def test_a_story_tells_of_earlier_runs(store: Store) -> None:
    frontier = await seeded(store, START)
    await frontier.commit([Visit(START, PageState.FAILED, "HTTP 503", status=503)])
    await frontier.finish("done")
    again = await claimed(store, 11, run=2)
    await again.seed([START])
    await again.commit([done(START)])
    story = await store.story(RESOURCE, START.fingerprint)
    assert story is not None
    assert [(each.run, each.status) for each in story.runs] == [(2, 200), (1, 503)]
    first = await store.story(RESOURCE, START.fingerprint, run=1)
    assert first is not None
    assert (first.run, first.page.reason) == (1, "HTTP 503")


async def test_what_a_run_never_heard_of_has_no_story(store: Store) -> None:
    await seeded(store, START)
    assert await store.story(RESOURCE, mark("elsewhere")) is None
    assert await store.story("unknown", START.fingerprint) is None
    with pytest.raises(NotFound):
        await store.story(RESOURCE, START.fingerprint, run=7)


async def test_reasons_are_counted(store: Store) -> None:
    pages = [request(f"{n}") for n in range(6)]
    frontier = await seeded(store, *pages)
    assert await store.reasons(RESOURCE) == []
    await frontier.commit(
        [
            *(Visit(page, PageState.FAILED, "HTTP 503", status=503) for page in pages[:3]),
            Visit(pages[3], PageState.FAILED, "timeout"),
            Visit(pages[4], PageState.EXCLUDED, "robots.txt"),
            done(pages[5]),
        ]
    )
    found = await store.reasons(RESOURCE)
    assert found[0] == Reason(PageState.FAILED, 503, "HTTP 503", 3)
    assert set(found[1:]) == {
        Reason(PageState.FAILED, 0, "timeout", 1),
        Reason(PageState.EXCLUDED, 0, "robots.txt", 1),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9", [9, 19, 29]),
        ("shop.example/2", [2, *range(20, 30)]),
        ("TIMEOUT", [1, 11, 21]),
        ("100%_sure", []),
        ("_", []),
        ("%", []),
        ("\\", []),
        ("'; DROP TABLE pages; --", []),
        ("\0", []),
        ("\ud800", []),
    ],
)
async def test_pages_are_found_by_a_text(store: Store, text: str, expected: list[int]) -> None:
    pages = [request(f"{n}") for n in range(30)]
    frontier = await seeded(store, *pages)
    await frontier.commit([Visit(p, PageState.FAILED, "timeout") for p in pages[1::10]])
    found, after = await store.find_pages(RESOURCE, text)
    assert [page.url for page in found] == [pages[n].url for n in expected]
    assert after == ""


async def test_a_search_goes_on_where_it_stopped(store: Store) -> None:
    pages = [request(f"{n}") for n in range(30)]
    frontier = await seeded(store, *pages)
    await frontier.commit([Visit(p, PageState.FAILED, "timeout") for p in pages[1::10]])
    first, after = await store.find_pages(RESOURCE, "timeout", limit=2)
    rest, end = await store.find_pages(RESOURCE, "timeout", after=after, limit=2)
    assert [page.url for page in (*first, *rest)] == [page.url for page in pages[1::10]]
    assert (len(first), end) == (2, "")
    failed, _ = await store.find_pages(RESOURCE, "shop", state=PageState.FAILED)
    assert len(failed) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lamp", [0]),
        ('6" tall', [1]),
        ("back\\slash", [2]),
        ("größe", [3]),
        ("a\nb", [4]),
        ("name", [0, 1, 2, 3, 4]),
        ("100%", []),
        ("\0", []),
        ("\ud800", []),
    ],
)
async def test_items_are_found_by_what_their_fields_hold(
    store: Store, text: str, expected: list[int]
) -> None:
    frontier = await seeded(store, START)
    names = ["A LAMP", '6" tall', "back\\slash", "größe", "a\nb"]
    items = tuple(Item("product", {"name": name}) for name in names)
    await frontier.commit([done(START, items=items)])
    found, after = await store.find_items(RESOURCE, text)
    assert [names.index(item.fields["name"]) for item in found] == expected
    assert {item.url for item in found} <= {START.url}
    assert after == ""


async def test_items_are_found_in_steps(store: Store) -> None:
    frontier = await seeded(store, START)
    items = tuple(Item("product", {"name": f"lamp {n}"}) for n in range(5))
    await frontier.commit([done(START, items=items)])
    first, after = await store.find_items(RESOURCE, "lamp", limit=3)
    rest, end = await store.find_items(RESOURCE, "lamp", after=after, limit=3)
    assert [item.fields["name"] for item in (*first, *rest)] == [f"lamp {n}" for n in range(5)]
    assert (len(first), end) == (3, "")
    with pytest.raises(InvalidInput):
        await store.find_items(RESOURCE, "lamp", after="x")


async def test_sums_are_over_the_latest_runs(store: Store) -> None:
    assert (await store.totals(), await store.failing(9)) == (Progress(), [])
    await store.mirror([Mirrored(RESOURCE, "shop", 1, "{}", "running", 1)])
    frontier = await seeded(store, START)
    await frontier.commit([Visit(START, PageState.FAILED, "timeout")])
    await frontier.finish("done")
    assert await store.failing(9) == [("shop", 1, 1)]
    again = await claimed(store, 11, run=2)
    await again.seed([START])
    await again.commit([done(START, SHELF, items=(Item("r", {"n": 1}),))])
    sums = await store.totals()
    assert (sums.known, sums.done, sums.failed, sums.items) == (2, 1, 0, 1)
    assert await store.failing(9) == []
    await store.bury(RESOURCE)
    assert await store.totals() == Progress()


async def test_tasks_are_listed_the_latest_first(store: Store) -> None:
    task = '{"start_urls":["https://a.example/"],"task":{"name":"a"}}'
    kept: list[Memo] = [Mirrored(f"1{n}", f"t{n}", 1, task, "running", 1) for n in range(5)]
    other = Mirrored("19", "x", 1, '{"start_urls":["https://a.example/"]}', "running", 1)
    await store.mirror([*kept, other])
    await store.bury("13")
    first = await store.tasks(limit=2)
    assert [(id_, name) for id_, name, _ in first] == [("14", "t4"), ("12", "t2")]
    rest = await store.tasks(before="12")
    assert [(name, definition) for _, name, definition in rest] == [("t1", task), ("t0", task)]


async def test_schedules_are_told_of_those_that_may_have_one(store: Store) -> None:
    daily = '{"schedule":{"cron":"0 6 * * *"},"start_urls":["https://a.example/"]}'
    kept: list[Memo] = [
        Mirrored("1", "a", 1, daily, "running", 1),
        Mirrored("2", "b", 1, '{"start_urls":["https://a.example/"]}', "running", 1),
        Mirrored("3", "c", 1, None, "running", 1),
        Mirrored("4", "d", 1, daily, "running", 1),
    ]
    await store.mirror(kept)
    assert await store.scheduled(["1", "2", "3", "5"]) == {"1": daily}
    assert await store.scheduled([]) == {}
