"""What a crawl came to against what it must come to: S4, S5 and S6 of a recorded history."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.acceptance.chaos.history import Commit, Finding, ItemRow, PageRow

T = TypeVar("T")
PENDING, DONE = "pending", "done"
SHOWN = 5  # of a long list of the same kind


@dataclass(frozen=True, slots=True)
class TruePage:
    """What one URL must come to: its state, the URLs it links to, and its items, each as JSON with
    sorted keys. ``items`` None: the page alone does not say (two pages have them, and the one that
    is fetched first keeps them)."""

    url: str
    state: str = DONE
    links: tuple[str, ...] = ()
    items: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True)
class TrueCrawl:
    """What one run of a resource must come to. ``items``: all of them, on whichever pages."""

    run: int
    pages: Mapping[str, TruePage]
    items: tuple[str, ...]


# By resource ID: the crawls that must be complete at the end.
Truth = Mapping[str, TrueCrawl]


def closure(starts: Iterable[str], page: Callable[[str], TruePage]) -> dict[str, TruePage]:
    """Every page that can be reached from these URLs, by URL."""
    found: dict[str, TruePage] = {}
    waiting = list(starts)
    while waiting:
        url = waiting.pop()
        if url not in found:
            found[url] = page(url)
            waiting += found[url].links
    return found


def crawl_of(starts: Iterable[str], page: Callable[[str], TruePage], run: int = 1) -> TrueCrawl:
    """The truth of a site whose pages alone say what items they have."""
    pages = closure(starts, page)
    return TrueCrawl(
        run, pages, tuple(item for each in pages.values() for item in each.items or ())
    )


def check_atomicity(pages: Sequence[PageRow], items: Sequence[ItemRow], truth: Truth) -> Finding:
    """S4. A page that is done has its items and its links, and no other page has items; whether
    or not the crawl is complete."""
    known = _urls_by_crawl(pages)
    kept: defaultdict[tuple[str, int, str], list[str]] = defaultdict(list)
    for item in items:
        kept[item.resource_id, item.run, item.url].append(item.fields)
    violations: list[str] = []
    looked_at = 0
    for row in pages:
        crawl = truth.get(row.resource_id)
        true = crawl.pages.get(row.url) if crawl is not None and crawl.run == row.run else None
        if true is not None:
            looked_at += 1
            there = known[row.resource_id, row.run]
            violations += _halves(row, true, kept[row.resource_id, row.run, row.url], there)
    return Finding("S4 page atomicity", f"{looked_at} pages", tuple(violations))


def check_completeness(pages: Sequence[PageRow], items: Sequence[ItemRow], truth: Truth) -> Finding:
    """S5. Every URL of the closure is there, in the state it must come to, and no other; every
    item, too."""
    violations: list[str] = []
    for resource_id, crawl in truth.items():
        of_run = (resource_id, crawl.run)
        found = {row.url: row.state for row in pages if (row.resource_id, row.run) == of_run}
        expected = {url: each.state for url, each in crawl.pages.items()}
        lost, strange = expected.keys() - found.keys(), found.keys() - expected.keys()
        wrong = {url for url in expected.keys() & found if expected[url] != found[url]}
        stored = {item.fields for item in items if (item.resource_id, item.run) == of_run}
        violations += _each(f"{resource_id}: lost", lost)
        violations += _each(f"{resource_id}: in no link", strange)
        violations += _each(
            f"{resource_id}: in the wrong state", (f"{url} ({found[url]})" for url in wrong)
        )
        violations += _each(f"{resource_id}: item lost", set(crawl.items) - stored)
    looked_at = f"{len(truth)} crawls, {sum(len(each.pages) for each in truth.values())} URLs"
    return Finding("S5 nothing lost", looked_at, tuple(violations))


def check_uniqueness(
    pages: Sequence[PageRow], items: Sequence[ItemRow], commits: Sequence[Commit], truth: Truth
) -> Finding:
    """S6. A URL stands once and is completed once; an item stands as often as it must."""
    rows = Counter((row.resource_id, row.run, row.url) for row in pages)
    ends = Counter(
        (each.resource_id, each.run, each.url) for each in commits if each.state != PENDING
    )
    places = Counter((each.resource_id, each.run, each.url, each.ordinal) for each in items)
    violations = [
        *_repeated("row", rows),
        *_repeated("completion", ends),
        *_repeated("item", places),
        *_surplus(items, truth),
    ]
    looked_at = f"{len(pages)} rows, {ends.total()} completions, {len(items)} items"
    return Finding("S6 nothing twice", looked_at, tuple(violations))


def _urls_by_crawl(pages: Sequence[PageRow]) -> dict[tuple[str, int], set[str]]:
    known: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for row in pages:
        known[row.resource_id, row.run].add(row.url)
    return known


def _halves(row: PageRow, true: TruePage, kept: list[str], known: set[str]) -> Iterator[str]:
    where = f"{row.resource_id}: {row.url} ({row.state})"
    if row.state != DONE:
        if kept:
            yield f"{where} has {len(kept)} items"
        return
    if true.items is not None and Counter(kept) != Counter(true.items):
        yield f"{where} has {len(kept)} items, not its {len(true.items)}, or others"
    missing = set(true.links) - known
    if missing:
        yield f"{where}: its links are missing, as {min(missing)}"


def _surplus(items: Sequence[ItemRow], truth: Truth) -> Iterator[str]:
    for resource_id, crawl in truth.items():
        of_run = (resource_id, crawl.run)
        stored = Counter(each.fields for each in items if (each.resource_id, each.run) == of_run)
        surplus = stored - Counter(crawl.items)
        yield from _each(f"{resource_id}: item too often", surplus)


def _repeated(what: str, counts: Counter[T]) -> Iterator[str]:
    yield from _each(
        f"{what} more than once", (str(key) for key, count in counts.items() if count > 1)
    )


def _each(what: str, found: Iterable[str]) -> list[str]:
    """The first few in words, and how many more there are."""
    every = sorted(found)
    shown = [f"{what}: {one}" for one in every[:SHOWN]]
    return shown + ([f"{what}: {len(every) - SHOWN} more"] if len(every) > SHOWN else [])
