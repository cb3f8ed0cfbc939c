"""Any number in any spelling, and any text where one was expected."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crawler.engine.extract.dates import read_datetime
from crawler.engine.extract.numbers import read_decimal, read_float, read_int


@given(st.decimals(0, 10**9, places=2))
def test_machine_and_grouped_spellings_agree(number: object) -> None:
    english = f"{number:,}"
    german = english.translate(str.maketrans(",.", ".,"))
    assert read_decimal(english) == read_decimal(german) == read_decimal(f"{number}") == number


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for reader in (read_decimal, read_float, read_int, read_datetime):
        try:
            reader(text)
        except ValueError:
            continue
