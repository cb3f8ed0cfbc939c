"""The lines of other processes' logs that somebody at the terminal should see."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

_SHOWN = frozenset({"WARNING", "ERROR", "CRITICAL"})
_TECHNICAL = frozenset({"ts", "level", "logger", "msg", "node", "exception", "stack"})
_MAX_READ = 1 << 18


class Line(NamedTuple):
    """One line worth showing."""

    source: str
    level: str
    text: str


def pick_line(source: str, raw: str) -> Line | None:
    """The line, if it is a warning or worse. Text that is no JSON comes from a crash: shown."""
    raw = raw.rstrip()
    try:
        event = json.loads(raw)
    except ValueError:
        return Line(source, "ERROR", raw) if raw else None
    if not isinstance(event, dict) or event.get("level") not in _SHOWN:
        return None
    fields = " ".join(f"{key}={each}" for key, each in event.items() if key not in _TECHNICAL)
    return Line(source, event["level"], f"{event.get('msg', '')} {fields}".strip())


class LogTail:
    """Reads what was added to some log files since the last look.

    Their writers write to the files directly: a stopped reader never holds them up.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._offsets = {path: path.stat().st_size if path.exists() else 0 for path in paths}
        self._rest: dict[Path, bytes] = {}

    def look(self) -> Iterator[Line]:
        """New lines worth showing, file by file."""
        for path, offset in self._offsets.items():
            try:
                with path.open("rb") as file:
                    data = self._read_from(file, path, offset)
            except FileNotFoundError:
                continue
            *lines, self._rest[path] = (self._rest.get(path, b"") + data).split(b"\n")
            for each in lines:
                if line := pick_line(path.stem, each.decode(errors="replace")):
                    yield line

    def _read_from(self, file: IO[bytes], path: Path, offset: int) -> bytes:
        size = file.seek(0, 2)
        if size < offset:  # turned: begin anew
            offset, self._rest[path] = 0, b""
        file.seek(offset)
        data = file.read(_MAX_READ)
        self._offsets[path] = offset + len(data)
        return data
