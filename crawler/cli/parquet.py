"""Items as a Parquet file, by pyarrow, which is an extra. Two passes and groups of rows: no more
than one group is held in memory.

Columns have the types that the definition gives its fields, where all values fit, so that the files
of one definition have one schema; others have what their values have in common. Text is what fits
everything: a decimal, to stay exact, and a value of mixed kinds as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from crawler.errors import Misconfigured

GROUP_ROWS = 10_000
GROUP_CHARS = 16_000_000  # of JSON; a group ends with whichever comes first
_BY_TYPE = {"int": "int", "float": "float", "bool": "bool", "datetime": "datetime"}
_BY_VALUE: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "text"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column holds: ``of`` is int, float, bool, datetime, text or json; ``many`` makes it a
    list of those."""

    of: str
    many: bool = False


@dataclass(slots=True)
class Column:
    """What is known of a column. ``wanted``: by the definition (None: it says nothing)."""

    wanted: Kind | None = None
    seen: set[Kind] = field(default_factory=set)
    fits: bool = True

    def see(self, value: Any) -> None:
        """Take one value into account."""
        if value is None:
            return
        if self.wanted is not None:
            self.fits = self.fits and _fits(value, self.wanted)
        self.seen.add(_kind_of(value))

    @property
    def kind(self) -> Kind:
        """What all values fit into."""
        if self.wanted is not None and self.fits:
            return self.wanted
        if not self.seen:
            return Kind("text")
        if len(self.seen) == 1:
            [only] = self.seen
            return only
        if {each.of for each in self.seen} <= {"int", "float"}:
            many = {each.many for each in self.seen}
            return Kind("float", many.pop()) if len(many) == 1 else Kind("json")
        return Kind("json")


def hints_of(definition: Mapping[str, Any] | None) -> dict[str, Kind]:
    """What a definition's JSON says of the fields of items, in its order; a field of two rules that
    differ is text."""
    found: dict[str, Kind] = {}
    for rule in (definition or {}).get("rules", ()):
        for name, entry in rule.get("item", {}).items():
            kind = _hinted(entry)
            if kind is not None:
                found[name] = kind if found.setdefault(name, kind) == kind else Kind("json")
    return found | {"_url": Kind("text"), "_rule": Kind("text")}


def _hinted(entry: Any) -> Kind | None:
    """None: the values keep the type that they are found with."""
    if not isinstance(entry, Mapping):
        return Kind("text")
    if "type" not in entry and ("carry" in entry or "jsonld" in entry):
        return None
    return Kind(_BY_TYPE.get(str(entry.get("type")), "text"), bool(entry.get("many")))


def write_parquet(
    records: Iterable[Mapping[str, Any]],
    target: Path,
    hints: Mapping[str, Kind],
    *,
    group_rows: int = GROUP_ROWS,
) -> int:
    """Write all records to a new file; returns how many. Raises `Misconfigured` without pyarrow."""
    arrow = require()
    columns = {name: Column(kind) for name, kind in hints.items()}
    count = 0
    with TemporaryFile("w+", encoding="utf-8") as spool:
        for record in records:
            for name, value in record.items():
                columns.setdefault(name, Column()).see(value)
            spool.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")
            count += 1
        kinds = {name: columns[name].kind for name in sorted(columns, key=_ours_last)}
        spool.seek(0)
        schema = arrow.schema([(name, _arrow_type(arrow, kind)) for name, kind in kinds.items()])
        import pyarrow.parquet

        with pyarrow.parquet.ParquetWriter(target, schema, compression="zstd") as writer:
            for rows in _groups(spool, group_rows):
                writer.write_table(_table(arrow, schema, kinds, rows))
    return count


def require() -> Any:
    """pyarrow. Raises `Misconfigured` where it is not installed."""
    try:
        import pyarrow
    except ImportError as error:
        raise Misconfigured(
            "Parquet needs pyarrow: pip install 'crawler-cluster[parquet]'; .jsonl, .json and .csv "
            "need nothing"
        ) from error
    return pyarrow


def _ours_last(name: str) -> bool:
    return name.startswith("_")


def _groups(spool: IO[str], group_rows: int) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    chars = 0
    for line in spool:
        rows.append(json.loads(line))
        chars += len(line)
        if len(rows) >= group_rows or chars >= GROUP_CHARS:
            yield rows
            rows, chars = [], 0
    if rows:
        yield rows


def _table(arrow: Any, schema: Any, kinds: Mapping[str, Kind], rows: list[dict[str, Any]]) -> Any:
    arrays = []
    for name, kind in kinds.items():
        read = _reader(kind)
        values = [None if row.get(name) is None else read(row[name]) for row in rows]
        arrays.append(arrow.array(values, type=schema.field(name).type))
    return arrow.Table.from_arrays(arrays, schema=schema)


def _arrow_type(arrow: Any, kind: Kind) -> Any:
    plain = {
        "int": arrow.int64(),
        "float": arrow.float64(),
        "bool": arrow.bool_(),
        "datetime": arrow.timestamp("us", tz="UTC"),
    }.get(kind.of, arrow.string())
    return arrow.list_(plain) if kind.many else plain


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_READ: Mapping[str, Callable[[Any], Any]] = {
    "float": float,
    "datetime": datetime.fromisoformat,
    "json": _as_text,
}


def _reader(kind: Kind) -> Callable[[Any], Any]:
    """What turns a JSON value into one of the column's."""
    read = _READ.get(kind.of)
    if read is None:
        return lambda value: value
    if kind.many:
        return lambda values: [None if each is None else read(each) for each in values]
    return read


def _kind_of(value: Any) -> Kind:
    if isinstance(value, list):
        kinds = {_BY_VALUE.get(type(each), "json") for each in value if each is not None}
        if kinds == {"int", "float"}:
            return Kind("float", many=True)
        [only] = kinds if len(kinds) == 1 else ["text" if not kinds else "json"]
        return Kind("json") if only == "json" else Kind(only, many=True)
    return Kind(_BY_VALUE.get(type(value), "json"))


def _fits(value: Any, kind: Kind) -> bool:
    if kind.many:
        one = Kind(kind.of)
        return isinstance(value, list) and all(each is None or _fits(each, one) for each in value)
    if kind.of == "datetime":
        return isinstance(value, str) and _is_moment(value)
    if kind.of == "float":
        return type(value) in (int, float)
    if kind.of == "json":
        return True
    return _BY_VALUE.get(type(value)) == kind.of


def _is_moment(text: str) -> bool:
    """Whether it names a moment everywhere: with its offset from UTC, and within Python's years."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
