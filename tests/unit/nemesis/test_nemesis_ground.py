"""The site that a crawl under faults is held to."""

from __future__ import annotations

from crawler.definition import from_data
from tests.acceptance.nemesis.ground import Manner, Tree

TREE = Tree("http://10.0.0.1:81", 400, 7)


def test_every_manner_occurs_and_the_seed_decides() -> None:
    manners = [TREE.manner(number) for number in range(TREE.size)]
    assert set(manners) == set(Manner)
    assert manners[0] is Manner.PLAIN
    other = Tree(TREE.origin, TREE.size, 8)
    assert manners != [other.manner(number) for number in range(other.size)]


def test_the_truth_is_the_closure_with_its_states_and_items() -> None:
    truth = TREE.truth()
    moved = next(n for n in range(1, TREE.size) if TREE.manner(n) is Manner.MOVED)
    gone = next(n for n in range(1, TREE.size) if TREE.manner(n) is Manner.GONE)
    assert truth.pages[TREE.url(moved)].links == (f"{TREE.url(moved)}/to",)
    assert truth.pages[TREE.url(moved)].items == ()
    assert truth.pages[f"{TREE.url(moved)}/to"].items == (
        f'{{"number": {moved}, "title": "page {moved}"}}',
    )
    assert truth.pages[TREE.url(gone)].state == "failed"
    assert all(link in truth.pages for page in truth.pages.values() for link in page.links)
    assert len(set(truth.items)) == len(truth.items) > TREE.size / 2


def test_its_definition_is_one_of_ours() -> None:
    definition = from_data(dict(TREE.definition(0.1)))
    assert definition.start_urls == (TREE.start,)
