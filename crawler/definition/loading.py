"""From text to a definition: TOML or JSON in, a checked `Definition` or `InvalidInput` out."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from pydantic import ValidationError

from crawler.definition.lines import MAX_DEPTH, Path, find_lines, find_long_key, line_of
from crawler.definition.problems import Problem, find_problems, name_of, refusal
from crawler.definition.schema import ALIASES, Definition
from crawler.errors import InvalidInput, TooLarge

MAX_DEFINITION_BYTES: Final = 256_000
_TOML_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_CURLY: Final = re.compile("[\u2018\u2019\u201c\u201d]")
# What neither UTF-8 nor the stores take.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_MAX_BITS: Final = 10_000  # of an integer; beyond 4,300 digits Python refuses to write it down


def load_text(text: str, *, source: str = "definition") -> Definition:
    """Read TOML, or JSON where the text begins with ``{``.

    ``source`` names the text in messages. Raises `InvalidInput` with field and line, and
    `TooLarge` above `MAX_DEFINITION_BYTES`.
    """
    _check_size(text, source)
    text = text.removeprefix("\ufeff")
    parse = _parse_json if text.lstrip().startswith("{") else _parse_toml
    data = parse(text, source)
    return from_data(data, source=source, lines=find_lines(text))


def from_json(text: str) -> Definition:
    """Read JSON as it travels and is stored. Raises like `load_text`, without lines."""
    _check_size(text, "definition")
    return from_data(_parse_json(text, ""), source="")


def from_data(
    data: Any, *, source: str = "definition", lines: Mapping[Path, int] | None = None
) -> Definition:
    """Check what was parsed already. Raises `InvalidInput`."""
    lines = lines or {}
    problem = _find_unstorable(data, lines)
    if problem is not None:
        raise refusal([problem], source)
    try:
        definition = Definition.model_validate(data)
    except ValidationError as error:
        raise refusal(find_problems(error, data, lines), source) from error
    _check_size(definition.canonical(), source)
    return definition


def for_url(url: str) -> Definition:
    """The crawl of a bare URL: its host is followed, every page yields what pages have."""
    return from_data({"start_urls": [url]}, source="")


def override(definition: Definition, settings: Sequence[str]) -> Definition:
    """A copy with settings from a command line, ``download_delay=0.5`` each.

    Values are TOML (``user_agent="x"``, ``retry_http_codes=[500]``); what is not stands for itself
    as a string. Raises `InvalidInput` that names the setting.
    """
    data = json.loads(definition.canonical())
    for setting in settings:
        name, mark, value = setting.partition("=")
        if not mark or not name.strip():
            raise InvalidInput(f"{setting!r}: write setting=value, like download_delay=0.5")
        name = name.strip()
        data.pop(ALIASES.get(name, name), None)
        data[name] = _toml_value(value.strip())
    return from_data(data, source="")


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of definitions, for editors and other programs."""
    schema = Definition.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["anyOf"] = [{"required": [name]} for name in ("start_urls", "sitemaps", "spider")]
    for alias, name in ALIASES.items():
        same = dict(schema["properties"][name])
        schema["properties"][alias] = {**same, "description": f"Scrapy's name of {name}"}
    return schema


def _check_size(text: str, source: str) -> None:
    # One character is at most four bytes: short texts need no encoding to be known as small.
    if len(text) > MAX_DEFINITION_BYTES // 4:
        size = len(text.encode("utf-8", "replace"))
        if size > MAX_DEFINITION_BYTES:
            raise TooLarge(
                f"{source}: a definition is at most {MAX_DEFINITION_BYTES} bytes (this has {size})"
            )


def _parse_toml(text: str, source: str) -> dict[str, Any]:
    line = find_long_key(text)
    if line:
        raise refusal([Problem("", line, "is nested too deeply")], source)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        said = str(error)[: place.start()] if place else str(error)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        hint = "; in 'single quotes' a backslash stands for itself" * ("\\" in said)
        if not hint and _CURLY.search(text.split("\n")[line - 1]):
            hint = '; quotes are straight here: "…"'
        raise refusal([Problem("", line, f"is not TOML: {said}{hint}")], source) from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(error, source) from error


def _parse_json(text: str, source: str) -> Any:
    doubles: list[str] = []
    try:
        data = json.loads(text, object_pairs_hook=partial(_table, doubles))
    except json.JSONDecodeError as error:
        message = f"is not JSON: {error.msg} (column {error.colno})"
        raise refusal([Problem("", error.lineno, message)], source) from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(error, source) from error
    if doubles:
        lines = find_lines(text)
        path = next((path for path in lines if path[-1:] == (doubles[0],)), (doubles[0],))
        problem = Problem(name_of(path), line_of(path, lines), "is given twice in one object")
        raise refusal([problem], source)
    return data


def _table(doubles: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        doubles.append(counts.most_common(1)[0][0])
    return table


def _unreadable(error: Exception, source: str) -> InvalidInput:
    deep = isinstance(error, RecursionError)
    reason = "is nested too deeply" if deep else "holds a number of too many digits"
    return refusal([Problem("", 0, reason)], source)


def _find_unstorable(data: Any, lines: Mapping[Path, int]) -> Problem | None:
    """What could not be stored, whatever it means: texts that no UTF-8 holds, endless depth,
    numbers that Python reads in hexadecimal and writes in no decimal."""
    waiting: list[tuple[Path, Any]] = [((), data)]
    while waiting:
        path, value = waiting.pop()
        reason = ""
        if len(path) > MAX_DEPTH:
            reason = "is nested too deeply"
        elif isinstance(value, Mapping):
            waiting += [((*path, key), key) for key in value if isinstance(key, str)]
            waiting += [((*path, key), entry) for key, entry in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), entry) for index, entry in enumerate(value)]
        elif isinstance(value, str) and _UNSTORABLE.search(value):
            reason = "must not hold NUL characters or lone surrogates"
        elif isinstance(value, int) and value.bit_length() > _MAX_BITS:
            reason = "has too many digits"
        if reason:
            return Problem(name_of(path[:8]), line_of(path, lines), reason)
    return None


def _toml_value(text: str) -> Any:
    try:
        data = tomllib.loads(f"value = {text}")
    except ValueError:
        return text
    return data["value"] if len(data) == 1 else text
