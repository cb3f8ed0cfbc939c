"""Any text and any fields become storable, the same way each time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.store.cleaning import clean_text, decode_fields, encode_fields

anything = st.text(st.characters(codec=None))


@pytest.mark.threat(17)
@given(anything)
def test_cleaned_text_is_storable_and_stays(text: str) -> None:
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    cleaned.encode("utf-8")
    assert clean_text(cleaned) == cleaned


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_good_text_is_untouched(text: str) -> None:
    assert clean_text(text) == text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(anything, values, max_size=4))
def test_fields_become_strict_json_and_stay(fields: dict[str, object]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = encode_fields(fields)
    text.encode("utf-8")
    assert "\\u0000" not in text
    assert "\\ud8" not in text
    json.loads(text, parse_constant=refuse)
    assert encode_fields(decode_fields(text)) == text
