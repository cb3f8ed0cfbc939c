"""More links on a page than anybody needs: a crawl takes so many, and tells of the rest."""

from __future__ import annotations

import pytest

from crawler.engine.links import MAX_LINKS, LinkFilter
from crawler.engine.urls import Scope
from tests.unit.engine.site import page
from tests.unit.engine.test_discovery import reasons
from tests.unit.engine.test_links import links, request
from tests.unit.engine.virtual import run
from tests.unit.engine.world import FAST, A, World, definition


@pytest.mark.threat(15)
def test_links_beyond_the_cap_are_told() -> None:
    many = page(f"{A}/", *(f"{A}/{n}" for n in range(MAX_LINKS + 3)))
    world = World({f"{A}/": many}, **FAST, max_pages=1)
    run(world.crawl().run())
    assert reasons(world) == {f"{A}/": f"3 links left out: more than {MAX_LINKS} on the page"}
    assert world.run.progress().known == MAX_LINKS + 1


def test_links_beyond_the_cap_are_ignored() -> None:
    known = LinkFilter(Scope(definition()), 0)
    many = links(*(f"{A}/{n}" for n in range(MAX_LINKS + 10)))
    found = known.sort(request(f"{A}/"), None, many)
    assert (len(found.links), found.cut) == (MAX_LINKS, 10)
