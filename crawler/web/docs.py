"""The API's document as a page: made here, without scripts, and with one stylesheet of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from aiohttp import web

CSP = "default-src 'none'; style-src 'self'; frame-ancestors 'none'"
STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --link: #0b57b7; }
@media (prefers-color-scheme: dark) { :root { --link: #8ab8ff; } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
a { color: var(--link); }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { background: var(--soft); padding: 0.7rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; display: block;
  overflow-x: auto; }
td, th { border-bottom: 1px solid var(--line); padding: 0.25rem 0.6rem 0.25rem 0; text-align: left;
  vertical-align: top; }
summary { cursor: pointer; padding: 0.4rem 0; }
details { border-top: 1px solid var(--line); }
"""

Json = Mapping[str, Any]


def answer(page: bytes) -> web.Response:
    """The page, as it goes out."""
    headers = {"Content-Security-Policy": CSP}
    return web.Response(body=page, content_type="text/html", charset="utf-8", headers=headers)


async def style(request: web.Request) -> web.Response:
    """The stylesheet."""
    del request
    return web.Response(text=STYLE, content_type="text/css")


def render(document: Json) -> str:
    """The whole page; ``document`` is OpenAPI 3.1 as `crawler.web.openapi` makes it."""
    info = document["info"]
    body = "".join(_body(document))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title>"
        '<link rel="stylesheet" href="/docs.css"></head><body><main>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f'<p>{escape(info["description"])}</p><p><a href="/openapi.json">openapi.json</a></p>'
        f"{body}</main></body></html>"
    )


def _body(document: Json) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(method, path, operation)
    yield "<h2>schemas</h2>"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield from _schema(name, schema)


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield (
        f'<details id="{escape(operation["operationId"])}"><summary>'
        f"<code>{method.upper()} {escape(path)}</code> {escape(operation['summary'])}</summary>"
        f"<p>{escape(operation['description'])}</p>"
    )
    yield from _table(
        ("parameter", "in", "type", ""),
        (
            (_code(each["name"]), each["in"], _type(each["schema"]), _words(each))
            for each in operation["parameters"]
        ),
    )
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        yield f"<p>Body: {_type(schema)}</p>"
    yield from _table(
        ("status", "", "answer"),
        (
            (_code(status), escape(each["description"]), _answer(each))
            for status, each in sorted(operation["responses"].items())
        ),
    )
    yield "</details>"


def _answer(response: Json) -> str:
    kinds = response.get("content", {}).items()
    return ", ".join(_type(each["schema"]) if "schema" in each else _code(k) for k, each in kinds)


def _schema(name: str, schema: Json) -> Iterator[str]:
    yield f'<details id="schema-{escape(name)}"><summary>{_code(name)}</summary>'
    if "description" in schema:
        yield f"<p>{escape(schema['description'])}</p>"
    required = schema.get("required", ())
    rows = (
        (_code(key), _type(each) + (", required" if key in required else ""), _words(each))
        for key, each in schema.get("properties", {}).items()
    )
    if schema.get("properties"):
        yield from _table(("field", "type", ""), rows)
    else:
        yield f"<p>{_type(schema)}</p>"
    for example in schema.get("examples", ()):
        yield f"<pre>{escape(json.dumps(example, ensure_ascii=False))}</pre>"
    yield "</details>"


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield "<table><tr>" + "".join(f"<th>{each}</th>" for each in heads) + "</tr>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{each}</td>" for each in row) + "</tr>"
    yield "</table>"


def _type(schema: Any) -> str:
    """What a value is, in one line of HTML."""
    if not isinstance(schema, Mapping):
        return "anything" if schema else "nothing"
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(map(_type, schema[key])))
    if "enum" in schema:
        return " | ".join(_code(json.dumps(each)) for each in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', True))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"table of {_type(schema['additionalProperties'])}"
    return escape(str(kind))


def _words(schema: Json) -> str:
    """Its description, bounds and default."""
    inner = schema.get("schema", schema)
    said = [str(schema.get("description") or inner.get("description") or "")]
    bounds = {"minimum": "from", "maximum": "to", "maxLength": "at most", "default": "default"}
    said += [
        f"{word} {json.dumps(inner[key], ensure_ascii=False)}"
        for key, word in bounds.items()
        if inner.get(key) not in (None, "", [], {})
    ]
    return escape("; ".join(filter(None, said)))


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
