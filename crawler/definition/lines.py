"""Where in a TOML or JSON text a field stands, for messages that name the line.

The text has been parsed by a real parser before; this scan only remembers lines. It reads both
languages, since a JSON object and an inline table differ in one mark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

Path = tuple[str | int, ...]

MAX_DEPTH: Final = 32  # no definition is as deep as this

_TOKEN: Final = re.compile(
    r'''(?P<skip>[ \t\r]+|\#[^\n]*)
    |(?P<newline>\n)
    |(?P<string>"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}
        |"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
    |(?P<mark>[][{},=:.])
    |(?P<bare>[^][{},=:."'\#\s]+)''',
    re.VERBOSE | re.DOTALL,
)


def find_lines(text: str) -> Mapping[Path, int]:
    """The line, counted from 1, of every field of a valid text that the scan could follow."""
    scan = _Scan(text)
    try:
        if text.lstrip("\ufeff \t\r\n").startswith("{"):
            scan.read_value(())
        else:
            scan.read_document()
    except (IndexError, RecursionError):  # the end of what it understood
        pass
    return scan.lines


def find_long_key(text: str) -> int:
    """The line of a key of more than `MAX_DEPTH` dotted parts; 0: there is none.

    tomllib takes memory by the square of that number, so this is asked before it.
    """
    dots, line, after_part = 0, 1, False
    for match in _TOKEN.finditer(text):
        line += match[0].count("\n")
        if match.lastgroup == "skip":
            continue
        if match[0] == "." and after_part:
            dots += 1
            if dots >= MAX_DEPTH:
                return line
        elif after_part or match.lastgroup in ("mark", "newline"):
            dots = 0
        after_part = match.lastgroup in ("bare", "string")
    return 0


def line_of(path: Path, lines: Mapping[Path, int]) -> int:
    """The line of the nearest thing around ``path`` that is known; 0: nothing is."""
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 0


class _Scan:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}  # arrays of tables: how many there are so far
        self._tokens: list[tuple[str, int]] = []
        self._at = 0
        line = 1
        for match in _TOKEN.finditer(text.removeprefix("\ufeff")):
            if match.lastgroup != "skip":
                self._tokens.append((match[0], line))
            line += match[0].count("\n")

    def read_document(self) -> None:
        """TOML: headers and ``key = value`` lines, to the end of the tokens."""
        table: Path = ()
        while True:
            if self._peek() == "\n":
                self._at += 1
            elif self._peek() == "[":
                table = self._read_header()
            else:
                self._read_pair(table, "=")

    def read_value(self, path: Path) -> None:
        """Any value, up to the mark or line break behind it."""
        if self._peek() == "[":
            self._read_list(path)
        elif self._peek() == "{":
            self._read_table(path)
        else:
            while self._peek() not in (",", "]", "}", "\n"):
                self._at += 1

    def _read_header(self) -> Path:
        line = self._tokens[self._at][1]
        self._at += 1
        many = self._peek() == "["
        self._at += many
        keys = self._read_keys("]")[: MAX_DEPTH + 1]
        self._at += many
        path: Path = ()
        for key in keys[:-1]:
            path = self._last((*path, key))
        path = (*path, keys[-1])
        self.lines.setdefault(path, line)
        if not many:
            return self._last(path)
        count = self._counts[path] = self._counts.get(path, 0) + 1
        self.lines[(*path, count - 1)] = line
        return (*path, count - 1)

    def _last(self, path: Path) -> Path:
        """Within an array of tables, a name stands for its last table."""
        return (*path, self._counts[path] - 1) if path in self._counts else path

    def _read_pair(self, table: Path, mark: str) -> None:
        line = self._tokens[self._at][1]
        path = table
        for key in self._read_keys(mark):
            path = (*path, key)
            if len(path) > MAX_DEPTH:
                raise IndexError  # go no further
            self.lines.setdefault(path, line)
        self._skip_breaks(mark == ":")
        self.read_value(path)

    def _read_keys(self, end: str) -> list[str]:
        keys = []
        while (token := self._peek()) != end:
            if token not in (".", "\n"):
                keys.append(_unquoted(token))
            self._at += 1
        self._at += 1
        return keys

    def _read_list(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip_breaks()
            if self._peek() == "]":
                break
            if self._peek() == ",":
                self._at += 1
                continue
            before = self._at
            self.lines.setdefault((*path, index), self._tokens[before][1])
            self.read_value((*path, index))
            if self._at == before:
                raise IndexError  # a stray mark; go no further
            index += 1
        self._at += 1

    def _read_table(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip_breaks()
            if self._peek() == "}":
                break
            if self._peek() == ",":
                self._at += 1
                continue
            quoted = self._peek().startswith('"')
            mark = ":" if quoted and self._tokens[self._at + 1][0] == ":" else "="
            self._read_pair(path, mark)
        self._at += 1

    def _skip_breaks(self, wanted: bool = True) -> None:
        while wanted and self._peek() == "\n":
            self._at += 1

    def _peek(self) -> str:
        return self._tokens[self._at][0]


def _unquoted(token: str) -> str:
    if token.startswith("'"):
        return token[1:-1]
    if not token.startswith('"'):
        return token
    try:
        return str(json.loads(token))
    except ValueError:
        return token[1:-1]
