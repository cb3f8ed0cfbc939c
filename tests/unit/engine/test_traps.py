"""Spaces of URLs without end are told from large sites."""

from __future__ import annotations

import pytest

from crawler.definition.traps import Traps as Bounds
from crawler.engine.urls import Traps
from crawler.engine.urls.traps import repeats
from tests.unit.engine.world import A

ORDINARY = [
    "/",
    "/a/b/c/d/e/f/g/h/i/j/k/l/m/n",
    "/docs/docs/api/docs/",
    "/api/v1/users/api/v2/users/api/v3/users",
    "/archive/2011/11/11/11/",
    "/tiles/3/3/3/3.png",
    "/img/a/a/a/a/photo.jpg",
    "//x//y//z",
    "/search?page=5000&sort=price",
    "/calendar/2026/12/24/",
    "/events/2031/",
    "/events/3012/10",
    "/products/2060/12",
    "/news/1895/05/01",
    "/list?start=2050&rows=10",
    "/?year=2026",
    "/report?date=2030-01-01",
    "/calendar/0001/01",
]
ENDLESS = [
    ("/a1/a1/a1/x", "repeats"),
    ("/shop/cart/shop/cart/shop/cart/", "repeats"),
    ("/x/one/2/three/one/2/three/one/2/three", "repeats"),
    ("/" + "/".join(f"s{n}" for n in range(50)), "segments"),
    ("/calendar/2099/01", "calendar"),
    ("/events/2032-02/list", "calendar"),
    ("/calendar/2032/2/", "calendar"),
    ("/agenda/1899/12/31", "calendar"),
    ("/?year=2050&a=1", "calendar"),
    ("/x?view=month&date=2077-03-01", "calendar"),
]


@pytest.mark.parametrize("path", ORDINARY)
def test_ordinary_sites_are_no_traps(path: str) -> None:
    assert Traps(Bounds(), 2026).judge(A + path) == ""


@pytest.mark.threat(13)
@pytest.mark.parametrize(("path", "word"), ENDLESS)
def test_endless_spaces_are_traps_with_a_reason(path: str, word: str) -> None:
    reason = Traps(Bounds(), 2026).judge(A + path)
    assert reason.startswith("trap: ")
    assert word in reason


@pytest.mark.parametrize(("path", "word"), ENDLESS)
def test_each_can_be_switched_off(path: str, word: str) -> None:
    bounds = Bounds(repeated_segments=0, path_segments=0, queries_per_path=0, calendar_years=0)
    assert Traps(bounds, 2026).judge(A + path) == ""
    assert not bounds.any()


@pytest.mark.threat(13)
def test_queries_of_several_parameters_are_counted_by_path() -> None:
    traps = Traps(Bounds(queries_per_path=100), 2026)
    filters = [traps.judge(f"{A}/list?color={n}&size=1") for n in range(150)]
    assert [bool(reason) for reason in filters] == [False] * 100 + [True] * 50
    assert filters[-1] == "trap: more than 100 queries of one path"
    assert not any(traps.judge(f"{A}/item?id={n}") for n in range(1_000))
    assert traps.judge(f"{A}/other?color=1&size=1") == ""


@pytest.mark.threat(13)
def test_what_is_counted_stays_bounded_and_keeps_what_comes_up_most() -> None:
    traps = Traps(Bounds(queries_per_path=10), 2026)
    for n in range(12):
        traps.judge(f"{A}/list?a={n}&b=1")
    for n in range(30_000):
        assert traps.judge(f"{A}/p{n}?a=1&b=1") == ""
    assert traps.judge(f"{A}/list?a=99&b=1")


@pytest.mark.parametrize(
    ("path", "times", "expected"),
    [
        ("ab/ab", 2, True),
        ("ab/cd/ab/cd", 2, True),
        ("ab/cd/ab/ce", 2, False),
        ("ab/cd/ef/ab/cd/ef/ab", 2, True),
        ("ab/ab/x/ab", 3, False),
        ("x/ab/ab/ab/ab", 4, True),
        ("ab", 1_000, False),
    ],
)
def test_repetition(path: str, times: int, expected: bool) -> None:
    assert repeats(path.split("/"), times) is expected
