"""Items as files, and what a spreadsheet must not run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from crawler.cli.formats import Format, cell_of, format_of, write
from crawler.errors import InvalidInput
from crawler.model import ItemRecord


def item(**fields: Any) -> ItemRecord:
    return ItemRecord(1, "https://shop.example/1", "product", 0, 5, fields, (), 1.0)


def written(kind: Format, *items: Mapping[str, Any]) -> str:
    target = io.StringIO(newline="")
    assert write((item(**fields) for fields in items), target, kind) == len(items)
    return target.getvalue()


def test_extensions() -> None:
    assert format_of("a/b.JSONL") is Format.JSONL
    assert format_of("b.csv") is Format.CSV
    for wrong in ("b", "b.xml", ".json"):
        with pytest.raises(InvalidInput, match=r"\.jsonl, \.json, \.csv, \.parquet"):
            format_of(wrong)


def test_json_is_one_document_even_of_nothing() -> None:
    assert json.loads(written(Format.JSON)) == []
    two = json.loads(written(Format.JSON, {"a": 1}, {"a": "ü\u2028"}))
    assert [each["a"] for each in two] == [1, "ü\u2028"]


def test_json_lines_keep_one_line_each() -> None:
    lines = written(Format.JSONL, {"a": "x\ny"}, {"a": None}).splitlines()
    assert [json.loads(line)["a"] for line in lines] == ["x\ny", None]


def test_csv_has_a_column_for_every_field_of_any_item() -> None:
    text = written(Format.CSV, {"a": 1}, {"b": [1, "x"], "a": True}, {"c": 'quote " and\nline'})
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == ["a", "b", "c", "_url", "_rule"]
    assert [row["a"] for row in rows] == ["1", "true", ""]
    assert rows[1]["b"] == '[1, "x"]'
    assert rows[2]["c"] == 'quote " and\nline'


@pytest.mark.threat(20)
@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd",
        "-cmd|' /C calc'!A0",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "＋1",
        "－1",
        "＠A",
    ],
)
def test_formulas_are_disarmed(text: str) -> None:
    assert cell_of(text) == "'" + text


@pytest.mark.threat(20)
def test_a_formula_is_disarmed_wherever_it_stands() -> None:
    evil = "=HYPERLINK(A1)"
    record = ItemRecord(1, evil, evil, 0, 5, {"a": evil, evil: evil}, (evil,), 1.0)
    target = io.StringIO(newline="")
    write([record], target, Format.CSV)
    for row in csv.reader(io.StringIO(target.getvalue(), newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


@pytest.mark.threat(20)
def test_field_names_are_disarmed_too() -> None:
    assert "'=evil" in written(Format.CSV, {"=evil": 1}).splitlines()[0]


@pytest.mark.parametrize("text", ["-1", "+1.5", "-1.5e3", "plain", "a=b", ""])
def test_numbers_and_text_stay(text: str) -> None:
    assert cell_of(text) == text
