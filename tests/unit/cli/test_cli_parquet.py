"""Parquet: the definition's types where values fit, text where they do not, nothing lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from crawler.cli.formats import Format, format_of, save
from crawler.cli.parquet import Kind, hints_of, write_parquet
from crawler.definition import from_data
from crawler.model import ItemRecord

DEFINITION = from_data({
    "start_urls": ["https://shop.example/"],
    "rules": [
        {
            "match": "https://shop.example/**",
            "item": {
                "name": "h1",
                "count": {"css": "b", "type": "int"},
                "score": {"css": "b", "type": "float"},
                "price": {"css": "b", "type": "decimal"},
                "in_stock": {"css": "b", "type": "bool"},
                "seen": {"css": "b", "type": "datetime"},
                "tags": {"css": "b", "many": True},
                "sizes": {"css": "b", "type": "int", "many": True},
                "brand": {"jsonld": "brand"},
            },
        }
    ],
})  # fmt: skip
HINTS = hints_of(json.loads(DEFINITION.canonical()))


def written(tmp_path: Path, *records: dict[str, Any]) -> Any:
    target = tmp_path / "a.parquet"
    assert write_parquet(records, target, HINTS) == len(records)
    return pyarrow.parquet.read_table(target)


def types(table: Any) -> dict[str, str]:
    return {each.name: str(each.type) for each in table.schema}


def test_columns_have_the_definition_s_types_even_where_there_is_no_value(tmp_path: Path) -> None:
    found = types(written(tmp_path))
    assert found == {
        "name": "string",
        "count": "int64",
        "score": "double",
        "price": "string",
        "in_stock": "bool",
        "seen": "timestamp[us, tz=UTC]",
        "tags": "list<element: string>",
        "sizes": "list<element: int64>",
        "_url": "string",
        "_rule": "string",
    }


def test_values_come_back_as_they_were(tmp_path: Path) -> None:
    record = {
        "name": "lämp", "count": 3, "score": 2, "price": "1299.00", "in_stock": True,
        "seen": "2026-05-01T12:00:00+02:00", "tags": ["a", None], "sizes": [1, 2],
        "brand": {"name": "x"}, "_url": "u", "_rule": "r",
    }  # fmt: skip
    row = written(tmp_path, record, {"_url": "v", "_rule": "r"}).to_pylist()[0]
    assert row["seen"] == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert json.loads(row["brand"]) == {"name": "x"}
    kept = ("name", "count", "score", "price", "in_stock", "tags", "sizes", "_url", "_rule")
    assert {name: row[name] for name in kept} == {name: record[name] for name in kept}


@pytest.mark.parametrize(
    ("values", "kind", "back"),
    [
        ([1, "n/a"], "string", ["1", "n/a"]),
        ([1.5, 2], "double", [1.5, 2.0]),
        ([True, 1], "string", ["true", "1"]),
        ([[1], 2], "string", ["[1]", "2"]),
        ([None, None], "int64", [None, None]),
        ([2**63 - 1, 0], "int64", [2**63 - 1, 0]),
    ],
)
def test_a_value_that_does_not_fit_makes_the_column_fit_it(
    values: list[Any], kind: str, back: list[Any], tmp_path: Path
) -> None:
    table = written(tmp_path, *({"count": value} for value in values))
    assert types(table)["count"] == kind
    assert table["count"].to_pylist() == back


def test_a_time_without_its_offset_stays_text(tmp_path: Path) -> None:
    table = written(tmp_path, {"seen": "2026-05-01T12:00:00Z"}, {"seen": "2026-05-01"})
    assert table["seen"].to_pylist() == ["2026-05-01T12:00:00Z", "2026-05-01"]


def test_fields_of_two_rules_that_differ_are_text() -> None:
    rules = [{"item": {"n": {"css": "b", "type": "int"}}}, {"item": {"n": {"css": "b"}}}]
    assert hints_of({"rules": rules})["n"] == Kind("json")
    assert list(hints_of(None)) == ["_url", "_rule"]


def test_rows_are_written_group_by_group(tmp_path: Path) -> None:
    records = ({"count": n} for n in range(25))
    write_parquet(records, tmp_path / "a.parquet", HINTS, group_rows=10)
    file = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [10, 10, 5]


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    item = ItemRecord(1, "https://shop.example/1", "product", 0, 5, {"count": 1}, ("x",), 1.0)
    assert save([item], str(tmp_path / "a.parquet"), format_of("a.parquet"), HINTS) == 1
    [row] = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert (row["count"], row["_missing"]) == (1, ["x"])

    def broken() -> Any:
        yield item
        raise RuntimeError("the master went away")

    with pytest.raises(RuntimeError):
        save(broken(), str(tmp_path / "b.parquet"), Format.PARQUET)
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]
