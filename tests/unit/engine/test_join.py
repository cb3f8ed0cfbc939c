"""Items that go on over several pages: written once, whole or marked, whatever happens between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from crawler.engine.extract import Extractor
from crawler.engine.extract.extractor import NOFOLLOW
from crawler.engine.fetch import Page
from crawler.engine.parts import UNFINISHED
from crawler.errors import Fenced, FetchFailed
from crawler.model import Item, PageState
from tests.unit.engine.cuts import Cut, Killed
from tests.unit.engine.site import Answer, redirect, status
from tests.unit.engine.test_sitemaps import urlset
from tests.unit.engine.virtual import run
from tests.unit.engine.world import FAST, A, World, definition, text

RULE: dict[str, Any] = {
    "name": "article",
    "match": f"{A}/news*",
    "next": {"css": "a.next", "join": True},
    "item": {
        "title": {"css": "h1", "required": True},
        "body": {"css": "p", "many": True},
        "text": "div",
        "price": {"css": "b", "type": "decimal"},
        "note": {"css": "i", "default": "none"},
    },
}
Sites = Mapping[str, Answer | list[Answer]]


def html(url: str, content: str, following: str = "") -> Page:
    more = f"<a class=next href='{following}'>more</a>" if following else ""
    return Page(f"{A}{url}", 200, f"{more}{content}".encode(), "text/html")


def article(**changed: Answer | list[Answer]) -> dict[str, Answer | list[Answer]]:
    """Three pages of one article; ``news2`` and the like replace one of them."""
    pages: dict[str, Answer | list[Answer]] = {
        "news1": html("/news1", "<h1>T</h1><p>a<p>b<div>one</div>", "/news2"),
        "news2": html("/news2", "<h1>T</h1><p>c<div>two</div><b>2</b>", "/news3"),
        "news3": html("/news3", "<h1>T</h1><p>d<div>three</div><b>3</b><i>n</i>"),
    }
    return {f"{A}/{name}": answer for name, answer in {**pages, **changed}.items()}


def world(site: Sites, *rules: dict[str, Any], **settings: Any) -> World:
    start = {"start_urls": [f"{A}/news1"], "rules": [RULE, *rules]}
    return World(site, **{**FAST, **start, **settings})


def crawled(made: World, **arguments: Any) -> list[Item]:
    run(made.crawl(extractor=Extractor(made.definition), **arguments).run())
    return items(made)


def items(made: World) -> list[Item]:
    return [item for each in made.run.items.values() for item in each]


WHOLE = {
    "title": "T",
    "body": ["a", "b", "c", "d"],
    "text": "one\ntwo\nthree",
    "price": "2",
    "note": "n",
}


def test_lists_and_texts_go_on_and_of_the_rest_the_first_stays() -> None:
    made = world(article())
    (item,) = crawled(made)
    assert dict(item.fields) == WHOLE
    assert item.missing == ()
    (last,) = made.run.items  # written with the last page
    assert made.run.rows[last].request.url == f"{A}/news3"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("news2", status(f"{A}/news2", 404)),
        ("news2", FetchFailed("connection lost", retry=True)),
        ("news2", Page(f"{A}/news2", 200, b"%PDF", "application/pdf")),
        ("news2", redirect(f"{A}/news2", "https://elsewhere.example/")),
        ("news2", redirect(f"{A}/news2", f"{A}/news1")),
        ("news2", redirect(f"{A}/news2", f"{A}/nowhere")),
        ("news1", html("/news1", "<h1>T</h1><p>a<p>b<div>one</div>", "https://b.example/")),
        ("news1", html("/news1", "<h1>T</h1><p>a<p>b<div>one</div>", "/news1#2?")),
    ],
    ids=["404", "lost", "type", "out", "loop", "no rule", "out of scope", "itself"],
)
def test_where_it_cannot_go_on_it_is_written_as_it_is_and_marked(name: str, answer: Answer) -> None:
    made = world(article(**{name: answer}), retry_times=1)
    (item,) = crawled(made)
    assert item.fields["body"] == ["a", "b"]
    assert item.fields["note"] == "none"
    if answer.__class__ is Page and b"#" in getattr(answer, "body", b""):
        assert item.missing == ()  # a link to the page itself leads nowhere
    else:
        assert item.missing == (UNFINISHED,)
    assert made.run.progress().incomplete_items == bool(item.missing)


def test_a_page_that_robots_txt_forbids_ends_it() -> None:
    site = article()
    site[f"{A}/robots.txt"] = text(f"{A}/robots.txt", "User-agent: *\nDisallow: /news3\n")
    (item,) = crawled(world(site, robotstxt_obey=True))
    assert (item.fields["body"], item.missing) == (["a", "b", "c"], (UNFINISHED,))


def deadly(*later: Answer) -> tuple[World, bytes]:
    """A crawl of which the second page has yet to be had, and what that is known by."""
    lost = FetchFailed("lost", retry=True)
    made = world(article(news2=[lost, *later]), max_seconds=0.5, retry_times=9)
    run(made.crawl(extractor=Extractor(made.definition)).run())
    (mark,) = (m for m, row in made.run.rows.items() if row.state is PageState.PENDING)
    made.run.finished = ""
    return made, mark


async def struck(made: World, mark: bytes, times: int) -> None:
    claim = made.run.claim()
    for _ in range(times):
        await claim.strike(mark, "killed")


ANEW = definition(**{**FAST, "start_urls": [f"{A}/news1"], "rules": [RULE]})


@pytest.mark.parametrize("times", [3, 4])
def test_a_page_that_kills_its_process_ends_it(times: int) -> None:
    """Strikes of which the answer was lost are told again, and count again."""
    made, mark = deadly()
    run(struck(made, mark, times))
    (item,) = crawled(made, definition=ANEW)
    assert (item.fields["body"], item.missing) == (["a", "b"], (UNFINISHED,))
    assert made.run.rows[mark].reason == "killed its process"


def test_a_page_that_killed_its_process_twice_is_tried_once_more() -> None:
    second = article()[f"{A}/news2"]
    assert isinstance(second, Page)
    made, mark = deadly(second)
    run(struck(made, mark, 2))
    (item,) = crawled(made, definition=ANEW)
    assert dict(item.fields) == WHOLE
    assert item.missing == ()


def test_an_item_is_not_lost_wherever_the_last_strike_is_cut() -> None:
    def cut_at(at: int) -> int:
        made, mark = deadly()

        def kill() -> None:
            raise Killed

        cut = Cut(at, kill)

        async def scenario() -> None:
            claim = made.run.claim(step=cut.step)
            for _ in range(3):
                await claim.strike(mark, "killed")
            crawl = made.crawl(claim, definition=ANEW, extractor=Extractor(made.definition))
            await crawl.run()

        async def cut_short() -> None:
            await asyncio.gather(asyncio.create_task(scenario()), return_exceptions=True)

        run(cut_short())
        run(struck(made, mark, 3))  # told again by whoever did not hear of it
        (item,) = crawled(made, definition=ANEW)
        assert (item.fields["body"], item.missing) == (["a", "b"], (UNFINISHED,))
        assert made.run.rows[mark].state is PageState.FAILED
        return cut.count

    for at in range(1, cut_at(0) + 1):
        cut_at(at)


def test_a_page_that_is_known_from_elsewhere_does_not_lose_the_item() -> None:
    starts = [f"{A}/news3", f"{A}/news2", f"{A}/news1"]
    found = crawled(world(article(), start_urls=starts))
    bodies = sorted(item.fields["body"] for item in found)
    assert bodies == [["a", "b", "c", "d"], ["c", "d"], ["d"]]
    assert not any(item.missing for item in found)


@pytest.mark.parametrize(
    "last",
    [
        "<meta name=robots content=nofollow><h1>T</h1><p>c",
        "<a class=next rel=nofollow href=/news3>more</a><h1>T</h1><p>c",
    ],
)
def test_where_the_page_asks_not_to_follow_it_is_written_and_marked(last: str) -> None:
    following = "" if "rel=" in last else "/news3"
    site = article(news2=html("/news2", last, following))
    made = world(site)
    (item,) = crawled(made)
    assert (item.fields["body"], item.missing) == (["a", "b", "c"], (UNFINISHED,))
    assert f"{A}/news3" not in made.site.fetched()
    (item,) = crawled(world(site, nofollow="ignore"))
    assert (item.fields["body"], item.missing) == (["a", "b", "c", "d"], ())


def test_a_header_that_says_nofollow_ends_it() -> None:
    second = html("/news2", "<h1>T</h1><p>c", "/news3")
    made = world(article(news2=replace(second, robots_tag="nofollow")))
    (item,) = crawled(made)
    assert (item.fields["body"], item.missing) == (["a", "b", "c"], (UNFINISHED,))
    assert {row.reason for row in made.run.rows.values() if row.reason} == {NOFOLLOW}


def test_a_trap_on_the_way_ends_it_and_is_told() -> None:
    trap = "/news/ab/ab/ab/"
    made = world(article(news2=html("/news2", "<h1>T</h1><p>c", trap)))
    (item,) = crawled(made)
    assert (item.fields["body"], item.missing) == (["a", "b", "c"], (UNFINISHED,))
    assert made.run.urls(PageState.EXCLUDED) == {f"{A}{trap}"}
    progress = made.run.progress()
    assert progress.known == progress.done + progress.excluded


def test_the_pages_on_the_way_are_tidy() -> None:
    made = world(
        article(news1=html("/news1", "<h1>T</h1><p>a", "/news2?ref=1")), drop_query=["ref"]
    )
    (item,) = crawled(made)
    assert item.fields["body"] == ["a", "c", "d"]
    assert made.site.fetched() == [f"{A}/news1", f"{A}/news2", f"{A}/news3"]


def test_a_canonical_page_is_an_item_of_its_own_and_none_of_the_way() -> None:
    link = "<link rel=canonical href=/news-all>"
    site = article(news2=html("/news2", f"{link}<h1>T</h1><p>c<div>two</div><b>2</b>", "/news3"))
    site[f"{A}/news-all"] = html("/news-all", "<h1>T</h1><p>abcd")
    (item,) = crawled(world(site))
    assert dict(item.fields) == WHOLE
    found = crawled(world(site, canonical_links="follow"))
    assert sorted(item.fields["body"] for item in found) == [["a", "b", "c", "d"], ["abcd"]]
    assert not any(item.missing for item in found)


def test_what_a_sitemap_lists_begins_items_of_its_own() -> None:
    listing = f"{A}/sitemap.xml"
    site = {**article(), listing: text(listing, urlset(f"{A}/news1", f"{A}/news3"))}
    found = crawled(world(site, start_urls=[], sitemaps=[listing]))
    assert sorted(item.fields["body"] for item in found) == [["a", "b", "c", "d"], ["d"]]
    assert not any(item.missing for item in found)


def test_a_circle_ends_where_it_began() -> None:
    site = article(news3=html("/news3", "<h1>T</h1><p>d", "/news1"))
    made = world(site)
    (item,) = crawled(made)
    assert (item.fields["body"], item.missing) == (["a", "b", "c", "d"], (UNFINISHED,))
    assert len(made.site.fetched()) == 3


def test_a_page_that_brings_nothing_new_is_the_end() -> None:
    last = "<h1>T</h1><p>c"
    site = article(
        news2=html("/news2", last, "/news3"),
        news3=html("/news3", last, "/news4"),
    )
    made = world(site)
    (item,) = crawled(made)
    assert (item.fields["body"], item.missing) == (["a", "b", "c"], ())
    assert f"{A}/news4" not in made.site.fetched()


def test_a_redirect_on_the_way_carries_it_on() -> None:
    site = article(news2=redirect(f"{A}/news2", f"{A}/news2b", 301))
    site[f"{A}/news2b"] = html("/news2b", "<p>c<div>two</div><b>2</b>", "/news3")
    (item,) = crawled(world(site))
    assert dict(item.fields) == WHOLE


def test_what_a_changed_rule_does_not_go_on_with_is_written_as_it_is() -> None:
    made = world(article(), max_pages=1)
    run(made.crawl(extractor=Extractor(made.definition)).run())
    assert items(made) == []
    made.run.finished = ""
    other = {"name": "page", "match": "**", "item": {"title": "h1"}}
    changed = definition(**{**FAST, "start_urls": [f"{A}/news1"], "rules": [other]})
    run(made.crawl(definition=changed, extractor=Extractor(changed)).run())
    assert [(item.rule, item.missing) for item in items(made)] == [
        ("article", (UNFINISHED,)),
        ("page", ()),
    ]


def test_missing_fields_count_over_all_pages() -> None:
    site = {
        f"{A}/news1": html("/news1", "<p>a", "/news2"),
        f"{A}/news2": html("/news2", "<p>b"),
    }
    (item,) = crawled(world(site))
    assert item.missing == ("title",)
    site[f"{A}/news2"] = html("/news2", "<h1>late</h1>")
    (item,) = crawled(world(site))
    assert (item.fields["title"], item.missing) == ("late", ())


def test_an_item_that_grows_too_long_is_written_where_it_does() -> None:
    big = "<h1>T</h1>" + f"<p>{'x' * 100_000}" * 4
    site = article(
        news1=html("/news1", big, "/news2"), news2=html("/news2", big + "<p>y", "/news3")
    )
    made = world(site)
    (item,) = crawled(made)
    assert item.missing == (UNFINISHED,)
    assert len(item.fields["body"]) == 9
    assert f"{A}/news3" not in made.site.fetched()


@pytest.mark.parametrize("cut", range(1, 30, 2))
def test_cut_anywhere_it_is_written_once(cut: int) -> None:
    """The claim is lost before the n-th step, and another crawl goes on."""
    made = world(article(news3=[status(f"{A}/news3", 503), html("/news3", "<p>d")]))
    steps = 0

    async def lose(_: str) -> None:
        nonlocal steps
        steps += 1
        if steps == cut:
            raise Fenced("cut")

    try:
        crawled(made, frontier=made.run.claim(step=lose))
    except Fenced:
        crawled(made)
    (item,) = items(made)
    assert (item.fields["body"], item.missing) == (["a", "b", "c", "d"], ())
    assert set(made.run.completions.values()) == {1}
