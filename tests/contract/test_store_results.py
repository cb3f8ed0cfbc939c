"""What people read: stable cursors, filters, and doors that close."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crawler.errors import InvalidInput, NotFound, StoreUnavailable
from crawler.model import Event, Item, PageState, Visit
from crawler.store.contract import Mirrored, Store
from tests.contract.rows import RESOURCE, all_pages, claimed, done, job, request, seeded, stamp

PAGE = request("")
STATES = [PageState.DONE, PageState.FAILED, PageState.EXCLUDED]


async def fill(store: Store, count: int = 40) -> list[str]:
    """Pages of all states, with 404 for the failed."""
    pages = [request(f"{n}") for n in range(count)]
    frontier = await seeded(store, *pages)
    visits = [
        Visit(page, STATES[n % 4], status=(200, 404, 0)[n % 4])
        for n, page in enumerate(pages)
        if n % 4 < 3
    ]
    await frontier.commit(visits)
    return [page.url for page in pages]


@pytest.mark.parametrize("limit", [1, 7, 40, 1000])
async def test_pages_are_listed_in_the_order_found(store: Store, limit: int) -> None:
    urls = await fill(store)
    assert [page.url for page in await all_pages(store, limit=limit)] == urls


async def test_pages_are_filtered(store: Store) -> None:
    urls = await fill(store)
    for number, state in enumerate((*STATES, PageState.PENDING)):
        found = await all_pages(store, state=state)
        assert [page.url for page in found] == urls[number::4]
        assert {page.state for page in found} == {state}
    assert [page.url for page in await all_pages(store, status=404)] == urls[1::4]
    assert await all_pages(store, status=404, state=PageState.DONE) == []
    assert len(await all_pages(store, status=404, state=PageState.FAILED)) == 10


async def test_a_cursor_holds_while_pages_change(store: Store) -> None:
    pages = [request(f"{n}") for n in range(6)]
    frontier = await seeded(store, *pages)
    first, after = await store.pages(RESOURCE, limit=3)
    await frontier.commit([done(pages[4], request("new")), done(pages[0])])
    rest, end = await store.pages(RESOURCE, after=after, limit=100)
    urls = [page.url for page in (*first, *rest)]
    assert urls == [*(page.url for page in pages), request("new").url]
    assert end == ""


@pytest.mark.parametrize("after", ["x", "-1", "1e3", "1;", "٣", "9" * 30])
async def test_foreign_cursors_are_refused(store: Store, after: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await store.pages(RESOURCE, after=after)
    assert caught.value.field == "cursor"


async def test_unknown_resources_have_nothing(store: Store) -> None:
    assert await store.pages("unknown") == ([], "")
    assert await store.items("unknown") == []
    assert await store.progress(["unknown"]) == {}
    assert await store.progress([]) == {}


async def test_items_follow_a_cursor(store: Store) -> None:
    pages = [request(f"{n}") for n in range(5)]
    frontier = await seeded(store, *pages)
    seen: list[int] = []
    for number, page in enumerate(pages):
        items = (Item("r", {"n": number}), Item("r", {"n": number}))
        await frontier.commit([done(page, items=items)])
        new = await store.items(RESOURCE, after=seen[-1] if seen else 0)
        assert [item.fields["n"] for item in new] == [number, number]
        seen += [item.seq for item in new]
    assert seen == sorted(set(seen))
    assert [item.seq for item in await store.items(RESOURCE, after=seen[2], limit=3)] == seen[3:6]


async def test_an_extent_bounds_one_snapshot_however_slowly_it_is_read(store: Store) -> None:
    frontier = await seeded(store, *(request(name) for name in "abcd"))
    assert await store.extents(RESOURCE) == {1: 0}
    await frontier.commit([done(request(name), items=(Item("r", {}),) * 2) for name in "ab"])
    until = (await store.extents(RESOURCE))[1]
    wanted = await store.items(RESOURCE)
    await frontier.commit([done(request(name), items=(Item("r", {}),)) for name in "cd"])
    assert await store.items(RESOURCE, until=until) == wanted
    assert await store.items(RESOURCE, after=wanted[0].seq, until=until, limit=2) == wanted[1:3]
    later = await store.items(RESOURCE, after=until)
    assert len(later) == 2
    assert await store.extents(RESOURCE) == {1: later[-1].seq}
    assert await store.extents("unknown") == {}


async def test_the_latest_run_is_shown(store: Store) -> None:
    first = await seeded(store, PAGE)
    await first.commit([done(PAGE, items=(Item("r", {"run": 1}),))])
    second = await store.claim(stamp(11), job(run=2))
    assert await all_pages(store) == []
    assert await store.items(RESOURCE) == []
    await second.seed([PAGE])
    await second.commit([done(PAGE, items=(Item("r", {"run": 2}),))])
    [item] = await store.items(RESOURCE)
    assert item.fields == {"run": 2}


async def test_progress_of_many(store: Store) -> None:
    await claimed(store)
    for number in range(20):
        frontier = await store.claim(stamp(20 + number, resource=f"r{number}"), job(run=number))
        await frontier.seed([request(f"{n}") for n in range(number)])
    found = await store.progress([f"r{number}" for number in range(25)])
    assert {name: (run, progress.known) for name, (run, progress) in found.items()} == {
        f"r{number}": (number, number) for number in range(20)
    }


async def test_health_is_told(store: Store) -> None:
    health = await store.check()
    assert health["id"] == store.id
    assert health["backend"]


async def test_a_closed_store_says_so(store: Store) -> None:
    frontier = await seeded(store, PAGE)
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.check()
    with pytest.raises(StoreUnavailable):
        await frontier.commit([done(PAGE)])


async def test_every_run_stays_readable(store: Store) -> None:
    assert await store.runs(RESOURCE) == {}
    frontier = await seeded(store, PAGE)
    await frontier.commit([done(PAGE, items=(Item("product", {"sku": "first"}),))])
    await frontier.finish("finished")
    second = await store.claim(stamp(11), job(run=2))
    await second.seed([PAGE, request("other")])
    await second.commit([done(PAGE, items=(Item("product", {"sku": "second"}),))])
    for run, sku, pages in ((1, "first", 1), (2, "second", 2), (None, "second", 2)):
        items = await store.items(RESOURCE, run=run)
        assert [item.fields["sku"] for item in items] == [sku]
        found, _ = await store.pages(RESOURCE, run=run)
        assert len(found) == pages
    runs = await store.runs(RESOURCE)
    counted = {run: each.progress for run, each in runs.items()}
    assert {run: (each.known, each.finished) for run, each in counted.items()} == {
        1: (1, "finished"),
        2: (2, ""),
    }


async def test_a_run_that_there_is_not_is_named_with_those_that_there_are(store: Store) -> None:
    await seeded(store, PAGE)
    for reading in (store.items(RESOURCE, run=7), store.pages(RESOURCE, run=7)):
        with pytest.raises(NotFound, match="no run 7; there is: 1"):
            await reading


async def test_a_run_is_told_in_figures_by_scrapys_names(store: Store) -> None:
    assert await store.stats("unknown") == {}
    pages = [request(f"{n}", depth=n) for n in range(6)]
    frontier = await seeded(store, *pages)
    await frontier.commit([Visit(pages[3], PageState.PENDING, "timeout", 0)])
    await frontier.commit(
        [
            done(pages[0], items=(Item("r", {"n": 1}), Item("r", {"n": 2}, ("n",)))),
            done(pages[1], size_bytes=700),
            Visit(pages[2], PageState.FAILED, "http 404", 404),
            Visit(replace(pages[3], attempts=1), PageState.FAILED, "timeout", 0),
            Visit(pages[4], PageState.EXCLUDED, "robots.txt"),
        ]
    )
    found = dict(await store.stats(RESOURCE))
    assert str(found.pop("start_time")).endswith("Z")
    assert found == {
        "downloader/exception_count": 1,
        "downloader/exception_type_count/timeout": 1,
        "downloader/response_bytes": 700,
        "downloader/response_status_count/200": 2,
        "downloader/response_status_count/404": 1,
        "item_incomplete_count": 1,
        "item_scraped_count": 2,
        "page_failed_count": 2,
        "request_depth_max": 3,
        "response_received_count": 3,
        "retry/count": 1,
        "robotstxt/forbidden": 1,
        "scheduler/enqueued": 6,
        "scheduler/pending": 1,
    }
    await frontier.finish("max_pages", limit=True)
    assert {"finish_reason", "finish_time", "elapsed_time_seconds"} <= set(
        await store.stats(RESOURCE, 1)
    )
    with pytest.raises(NotFound):
        await store.stats(RESOURCE, 7)


async def test_the_journal_tells_of_all_resources_the_newest_first(store: Store) -> None:
    await store.mirror([Mirrored("a", "shop", 1, None, "running", 1)])
    for number in range(6):
        await store.note([("ab"[number % 2], Event(0, 7.5, f"k{number}", "", "w"))])
    whole = await store.journal()
    assert [each.kind for each in whole] == [f"k{n}" for n in range(5, -1, -1)]
    assert [(each.resource_id, each.name) for each in whole[:2]] == [("b", ""), ("a", "shop")]
    first = await store.journal(limit=4)
    rest = await store.journal(before=first[-1].seq, limit=4)
    assert [*first, *rest] == whole
    await store.bury("a")
    assert {each.resource_id for each in await store.journal()} == {"b"}
