"""Cleaning: every text becomes storable, the same way each time, and good text stays as it is."""

from __future__ import annotations

import pytest

from crawler.store.cleaning import clean_count, clean_text


@pytest.mark.threat(17)
@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\0b", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        ("x\udc00y", "x\ufffdy"),
        ("\ud83d\ude00", "\U0001f600"),
        ("é\0\ud800", "é\ufffd\ufffd"),
    ],
)
def test_what_is_replaced(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


def test_counts_are_bounded() -> None:
    assert [clean_count(number) for number in (10**30, -(10**30), 7)] == [2**31 - 1, 1 - 2**31, 7]
