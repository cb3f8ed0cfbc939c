"""Items as files: JSON lines, JSON, CSV, Parquet. A file is whole or not there.

Beside the item's own fields each record says where it is from: ``_url``, ``_rule``, and
``_missing`` where required fields were not found.
"""

from __future__ import annotations

import csv
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from crawler.cli import parquet
from crawler.errors import InvalidInput
from crawler.model import ItemRecord

# A spreadsheet takes what begins so for a formula (OWASP, "CSV injection"); plain numbers are not.
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


class Format(StrEnum):
    """How items are written, by a file name's extension."""

    JSONL = ".jsonl"
    JSON = ".json"
    CSV = ".csv"
    PARQUET = ".parquet"


def format_of(path: str) -> Format:
    """The format that a file name asks for, or `InvalidInput`."""
    try:
        return Format(Path(path).suffix.lower())
    except ValueError as error:
        raise InvalidInput(f"-o {path}: the name must end in {', '.join(Format)}") from error


def check_target(path: str) -> None:
    """Raise `InvalidInput` where a file of that name could not be written, `Misconfigured` where
    its format needs what is not installed."""
    if format_of(path) is Format.PARQUET:
        parquet.require()
    folder = Path(path).parent
    if not folder.is_dir():
        raise InvalidInput(f"-o {path}: there is no directory {folder}; create it first")
    if Path(path).is_dir() or not os.access(folder, os.W_OK):
        raise InvalidInput(f"-o {path}: cannot be written there")


def record_of(item: ItemRecord) -> dict[str, Any]:
    """An item as it is written."""
    record = {**item.fields, "_url": item.url, "_rule": item.rule}
    if item.missing:
        record["_missing"] = list(item.missing)
    return record


def write(items: Iterable[ItemRecord], target: IO[str], kind: Format) -> int:
    """Write all items as text; returns how many."""
    return _write((record_of(item) for item in items), target, kind)


def _write(records: Iterable[dict[str, Any]], target: IO[str], kind: Format) -> int:
    if kind is Format.CSV:
        return _write_csv(records, target)
    if kind is Format.JSON:
        return _write_json(records, target)
    count = 0
    for record in records:
        target.write(_dumps(record) + "\n")
        count += 1
    return count


def save(
    items: Iterable[ItemRecord],
    path: str,
    kind: Format,
    hints: Mapping[str, parquet.Kind] | None = None,
) -> int:
    """Write all items to a file; ``hints``: what the definition says of their fields."""
    return save_records((record_of(item) for item in items), path, kind, hints or {})


def save_records(
    records: Iterable[dict[str, Any]], path: str, kind: Format, hints: Mapping[str, parquet.Kind]
) -> int:
    """Write all records to a file, which appears when it is complete and on the disk. ``hints``:
    types of columns, for formats that have them."""
    goal = Path(path)
    draft = goal.with_name(f".{goal.name}.{os.getpid()}.part")
    try:
        if kind is Format.PARQUET:
            count = parquet.write_parquet(records, draft, hints)
        else:
            with draft.open("w", encoding="utf-8", newline="") as target:
                count = _write(records, target, kind)
        put_in_place(draft, goal)
    except OSError as error:
        raise InvalidInput(f"-o {path}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return count


def put_in_place(draft: Path, goal: Path) -> None:
    """Rename a file that is complete; afterwards a crash takes neither it nor its name."""
    with draft.open("rb") as written:
        os.fsync(written.fileno())
    draft.replace(goal)
    folder = os.open(goal.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _write_json(records: Iterable[dict[str, Any]], target: IO[str]) -> int:
    count = 0
    target.write("[")
    for record in records:
        target.write(("," if count else "") + "\n" + _dumps(record))
        count += 1
    target.write("\n]\n")
    return count


def _write_csv(records: Iterable[dict[str, Any]], target: IO[str]) -> int:
    """Two passes, because a later item may have a field that no earlier one had."""
    columns: dict[str, None] = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
        for record in records:
            columns.update(dict.fromkeys(record))
            spool.write(_dumps(record) + "\n")
        spool.seek(0)
        writer = csv.writer(target, lineterminator="\r\n")
        names = sorted(columns, key=lambda name: name.startswith("_"))
        writer.writerow([cell_of(name) for name in names])
        return _write_rows(writer, names, spool)


def _write_rows(writer: Any, names: list[str], spool: Iterator[str]) -> int:
    count = 0
    for line in spool:
        record = json.loads(line)
        writer.writerow([cell_of(record.get(name)) for name in names])
        count += 1
    return count


def cell_of(value: Any) -> str:
    """A value as a cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return _dumps(value)
    text = str(value)
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text
