"""JSON Schemas as tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reference.markdown import code, prose, table, value

Json = Mapping[str, Any]
_BOUNDS = {"minimum": "from", "maximum": "to", "maxLength": "at most", "maxItems": "at most"}


def fields(schema: Json, link: Callable[[str], str]) -> str:
    """The properties of an object; ``link`` says where the schema of a name is described."""
    required = schema.get("required", ())
    rows = (
        (
            code(name),
            kind(each, link) + (", required" if name in required else ""),
            value(each.get("default")),
            words(each),
        )
        for name, each in schema.get("properties", {}).items()
    )
    return table(("field", "holds", "default", ""), rows)


def kind(schema: Any, link: Callable[[str], str]) -> str:
    """What a value is, in one line."""
    if not isinstance(schema, Mapping):
        return "anything"
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}]({link(name)})"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            kinds = (kind(each, link) for each in schema[key])
            return " or ".join(dict.fromkeys(each for each in kinds if each != "null")) or "null"
    if "enum" in schema or "const" in schema:
        given = schema.get("enum", [schema.get("const")])
        return ", ".join(code(json.dumps(each)) for each in given)
    return _shape(schema, link)


def _shape(schema: Json, link: Callable[[str], str]) -> str:
    match schema.get("type"):
        case "array":
            return f"list of {kind(schema.get('items'), link)}"
        case "object" if isinstance(schema.get("additionalProperties"), Mapping):
            return f"table of {kind(schema['additionalProperties'], link)}"
        case None:
            return "anything"
        case given:
            return str(given)


def words(schema: Json) -> str:
    """Its description and bounds."""
    return "; ".join(filter(None, [prose(schema.get("description", "")), *_bounds(schema)]))


def _bounds(schema: Json) -> Iterator[str]:
    for key, word in _BOUNDS.items():
        found = [each[key] for each in (schema, *schema.get("anyOf", ())) if each.get(key)]
        if found:
            yield f"{word} {found[0]:,}"
