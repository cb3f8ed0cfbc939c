"""An article that goes on for ever is written after all."""

from __future__ import annotations

from crawler.engine.parts import UNFINISHED
from tests.unit.engine.test_join import crawled, html, world
from tests.unit.engine.world import A


def test_an_article_without_end_ends() -> None:
    site = {
        f"{A}/news{n}": html(f"/news{n}", f"<h1>T</h1><p>{n}", f"/news{n + 1}")
        for n in range(1, 700)
    }
    (item,) = crawled(world(site))
    assert (len(item.fields["body"]), item.missing) == (500, (UNFINISHED,))
