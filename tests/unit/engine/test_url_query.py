"""What a definition calls the same page is the same URL."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from crawler.engine.urls import tidier
from tests.unit.engine.world import A


def tidied(
    path: str, *, sort: bool = False, drop: Sequence[str] = (), sessions: bool = False
) -> str:
    tidy = tidier(sort_query=sort, drop_query=drop, session_ids=sessions)
    assert tidy is not None
    return tidy(A + path).removeprefix(A)


def test_nothing_asked_for_costs_nothing() -> None:
    assert tidier(sort_query=False, drop_query=(), session_ids=False) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/?b=1&a=2", "/?a=2&b=1"),
        ("/?b=2&a&b=1", "/?a&b=2&b=1"),
        ("/?a=2&b=1", "/?a=2&b=1"),
        ("/x", "/x"),
    ],
)
def test_parameters_are_sorted_by_name_and_keep_their_order_otherwise(
    path: str, expected: str
) -> None:
    assert tidied(path, sort=True) == expected


@pytest.mark.parametrize(
    ("path", "drop", "expected"),
    [
        ("/?ref=1&id=2&ref=3", ["ref"], "/?id=2"),
        ("/?ref=1", ["ref"], "/"),
        ("/?reference=1&Ref=2", ["ref"], "/?reference=1&Ref=2"),
        ("/?ref&id", ["ref"], "/?id"),
        ("/?utm_source=x&utm_=y&xutm_=1", ["utm_*"], "/?xutm_=1"),
        ("/?a.b=1&axb=2", ["a.*"], "/?axb=2"),
        ("/?my_sort_by=1&sort=2", ["*_sort_*", "sort"], "/"),
        ("/?utm_medium=1&fbclid=2&gclid=3&id=4", ["tracking"], "/?id=4"),
        ("/?q=utm_source", ["tracking"], "/?q=utm_source"),
    ],
)
def test_parameters_are_dropped_by_name(path: str, drop: list[str], expected: str) -> None:
    assert tidied(path, drop=drop) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/x;jsessionid=1A2B3C4D5E.node1?a=1", "/x?a=1"),
        ("/x;JSESSIONID=1A2B3C4D5E/y", "/x/y"),
        ("/x;v=1", "/x;v=1"),
        ("/?PHPSESSID=abcdef0123456789&a=1", "/?a=1"),
        ("/?osCsid=abcdef0123456789", "/"),
        ("/?ASPSESSIONIDQABC=abcdefghij", "/"),
        ("/?sid=0123456789abcdef0123456789abcdef", "/"),
        ("/?sid=42", "/?sid=42"),
        ("/?session_id=1234", "/?session_id=1234"),
        ("/?session=a-talk-about-nothing-at-all", "/?session=a-talk-about-nothing-at-all"),
        ("/?phpsessid=help", "/?phpsessid=help"),
        ("/?inside=0123456789abcdef0123456789abcdef", "/?inside=0123456789abcdef0123456789abcdef"),
    ],
)
def test_only_what_can_only_be_a_session_is_dropped(path: str, expected: str) -> None:
    assert tidied(path, sessions=True) == expected


@pytest.mark.threat(13)
def test_hostile_names_take_linear_time() -> None:
    query = "a" * 2_000
    assert tidied(f"/?{query}=1", drop=["*a*a*a*a*a*b", "*" * 100 + "c"]) == f"/?{query}=1"
