"""How much of old runs is kept: what a definition may say, and how a leader reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crawler.definition import from_data, json_schema
from crawler.definition.keeping import DEFAULT, keep_of
from crawler.errors import InvalidInput
from crawler.model import Keep

START = {"start_urls": ["https://shop.example/"]}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Keep()),
        ({"keep_runs": 5}, Keep(runs=5)),
        ({"keep_runs": 100}, Keep()),  # the default, which canonical JSON leaves out
        ({"keep_pages": 1, "keep_events": 7}, Keep(pages=1, events=7)),
        ({"keep_runs": 10_000, "keep_pages": 10_000, "keep_events": 100_000},
         Keep(10_000, 10_000, 100_000)),
    ],
)  # fmt: skip
def test_what_a_definition_says_is_what_a_leader_reads(
    said: dict[str, Any], expected: Keep
) -> None:
    definition = from_data({**START, **said})
    assert keep_of(definition.canonical()) == expected
    read = Keep(definition.keep_runs, definition.keep_pages, definition.keep_events)
    assert read == expected


@pytest.mark.parametrize("field", ["keep_runs", "keep_pages", "keep_events"])
@pytest.mark.parametrize("value", [0, -1, 100_001, 1.5, "3", True, None])
def test_what_cannot_be_kept_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        from_data({**START, field: value})
    assert caught.value.field == field


ODD: tuple[object, ...] = (0, -3, "9", True, None, 1.5, [])


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "7", '"keep_runs"', "[" * 100_000 + '"keep_runs"',
     *(json.dumps({"keep_runs": each}) for each in ODD)],
)  # fmt: skip
def test_what_somebody_else_wrote_keeps_the_default(text: str | None) -> None:
    assert keep_of(text) == DEFAULT


def test_the_schema_says_how_much_is_kept_unless_said() -> None:
    fields = json_schema()["properties"]
    defaults = [fields[f"keep_{what}"]["default"] for what in ("runs", "pages", "events")]
    assert Keep(*defaults) == DEFAULT
