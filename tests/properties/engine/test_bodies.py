"""What is sent tells itself what it is, and equal values are equal bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.engine.bodies import FORM, JSON, content_type_of, form_body, json_body

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.lists(values, max_size=3), st.dictionaries(st.text(max_size=3), values, max_size=3))
def test_json_is_told_by_its_first_byte(entries: list[Any], table: dict[str, Any]) -> None:
    assert content_type_of(json_body(entries)) == content_type_of(json_body(table)) == JSON
    assert json_body(table) == json_body(dict(reversed(table.items())))


@settings(max_examples=60)
@given(st.dictionaries(st.text(min_size=1, max_size=4), st.text(max_size=4), min_size=1))
def test_a_form_is_never_taken_for_json(fields: dict[str, str]) -> None:
    body = form_body(fields.items())
    assert content_type_of(body) == FORM
    assert body == form_body(reversed(fields.items()))
    assert body.isascii()
