"""What the checks of pages and items find: S4, S5 and S6."""

from __future__ import annotations

from dataclasses import replace

from tests.acceptance.chaos.history import ItemRow, PageRow
from tests.acceptance.chaos.outcome import (
    TrueCrawl,
    TruePage,
    check_atomicity,
    check_completeness,
    check_uniqueness,
    closure,
)
from tests.unit.chaos.histories import ITEMS, PAGES, TRUTH, kept, site

STRANGE = PageRow("7", 1, "https://a/9", "done")


def test_the_closure_is_everything_that_can_be_reached() -> None:
    assert set(closure(["https://a/"], site)) == {"https://a/", "https://a/1", "https://a/2"}
    assert set(closure([], site)) == set()


def test_a_crawl_that_came_to_its_truth_is_in_order() -> None:
    assert check_atomicity(PAGES, ITEMS, TRUTH).violations == ()
    assert check_completeness(PAGES, ITEMS, TRUTH).violations == ()
    assert check_uniqueness(PAGES, ITEMS, kept().commits, TRUTH).violations == ()


def test_a_page_without_its_item_is_found() -> None:
    (violation,) = check_atomicity(PAGES, ITEMS[1:], TRUTH).violations
    assert "0 items, not its 1" in violation
    (violation,) = check_completeness(PAGES, ITEMS[1:], TRUTH).violations
    assert "item lost" in violation


def test_a_page_with_another_item_is_found() -> None:
    other = replace(ITEMS[0], fields='{"url": "?"}')
    assert check_atomicity(PAGES, (other, *ITEMS[1:]), TRUTH).violations
    assert len(check_uniqueness(PAGES, (other, *ITEMS[1:]), (), TRUTH).violations) == 1


def test_an_item_of_a_page_that_is_not_done_is_found() -> None:
    pages = tuple(replace(row, state="pending") for row in PAGES)
    assert len(check_atomicity(pages, ITEMS, TRUTH).violations) == len(ITEMS)
    assert not check_atomicity(pages, (), TRUTH).violations


def test_a_page_that_is_done_without_its_links_is_found() -> None:
    start = tuple(row for row in PAGES if row.url == "https://a/")
    (violation,) = check_atomicity(start, (), TRUTH).violations
    assert "links are missing, as https://a/1" in violation


def test_items_of_either_page_are_compared_as_a_whole() -> None:
    """Two addresses of one page: the first that is fetched keeps the item."""
    pages = {url: TruePage(url, items=None) for url in ("https://a/old", "https://a/new")}
    truth = {"7": TrueCrawl(1, pages, ("{}",))}
    rows = tuple(PageRow("7", 1, url, "done") for url in pages)
    for url in pages:
        items = (ItemRow("7", 1, url, 0, "{}"),)
        assert not check_atomicity(rows, items, truth).violations
        assert not check_completeness(rows, items, truth).violations
        assert not check_uniqueness(rows, items, (), truth).violations
    both = tuple(ItemRow("7", 1, url, 0, "{}") for url in pages)
    assert "item too often" in check_uniqueness(rows, both, (), truth).violations[0]


def test_lost_strange_and_unfinished_urls_are_found() -> None:
    pending = replace(PAGES[0], state="pending")
    (violation,) = check_completeness((pending, *PAGES[1:]), ITEMS, TRUTH).violations
    assert violation.endswith("in the wrong state: https://a/ (pending)")
    (violation,) = check_completeness(PAGES[1:], ITEMS, TRUTH).violations
    assert violation == "7: lost: https://a/"
    (violation,) = check_completeness((*PAGES, STRANGE), ITEMS, TRUTH).violations
    assert violation == "7: in no link: https://a/9"


def test_another_run_and_another_resource_do_not_count() -> None:
    for moved in ({"run": 2}, {"resource_id": "8"}):
        rows = tuple(replace(row, **moved) for row in PAGES)
        assert len(check_completeness(rows, ITEMS, TRUTH).violations) == len(PAGES)


def test_a_long_list_is_cut_short() -> None:
    strange = tuple(replace(STRANGE, url=f"https://a/{n}") for n in range(10, 20))
    violations = check_completeness((*PAGES, *strange), ITEMS, TRUTH).violations
    assert len(violations) == 6
    assert violations[-1] == "7: in no link: 5 more"


def test_whatever_stands_twice_is_found() -> None:
    commits = kept().commits
    again = (*commits, replace(commits[0], seq=9))
    retried = (*commits, replace(commits[0], seq=0, state="pending"))
    for pages, items, logged, says in (
        ((*PAGES, PAGES[0]), ITEMS, commits, "row more than once"),
        (PAGES, (*ITEMS, ITEMS[0]), commits, "item more than once"),
        (PAGES, (*ITEMS, replace(ITEMS[0], ordinal=1)), commits, "item too often"),
        (PAGES, ITEMS, again, "completion more than once"),
    ):
        assert says in check_uniqueness(pages, items, logged, TRUTH).violations[0]
    assert not check_uniqueness(PAGES, ITEMS, retried, TRUTH).violations
