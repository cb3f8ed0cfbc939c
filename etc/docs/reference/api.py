"""The HTTP API of masters, by the OpenAPI document that they serve."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any, cast

from aiohttp.test_utils import TestClient, TestServer

from crawler.definition import json_schema
from crawler.telemetry import logs
from crawler.web.app import build_app
from reference import schema
from reference.markdown import code, prose, table

Json = Mapping[str, Any]
_DEFINITION = "DefinitionBody"  # it has a page of its own


def page() -> str:
    """Every operation with its parameters and answers, then what bodies and answers hold."""
    document = asyncio.run(_document())
    parts = ["# HTTP API\n", prose(document["info"]["description"]) + "\n"]
    parts.append("A master has this at `/docs`, and the document at `/openapi.json`.\n")
    for tag in document["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n\n{prose(tag['description'])}\n")
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    parts += _operation(f"{method.upper()} {path}", operation)
    parts.append("## Schemas\n")
    for name, model in sorted(document["components"]["schemas"].items()):
        if not name.startswith(_DEFINITION):
            parts.append(f"### {name} {{ #{_anchor(name)} }}\n")
            parts.append(prose(model.get("description", "")) + "\n")
            if model.get("properties"):
                parts.append(schema.fields(model, _link))
    return "\n".join(parts)


async def _document() -> Json:
    logs.configure("warning")
    # Whatever it needs to answer with: it is asked for its document, and for nothing else.
    needed = signature(build_app).parameters.values()
    nothing: dict[str, Any] = {each.name: None for each in needed if each.default is each.empty}
    app = build_app(**{**nothing, "loopback": True, "definition_schema": json_schema()})
    async with TestClient(TestServer(app)) as client, client.get("/openapi.json") as answer:
        answer.raise_for_status()
        return cast("Json", await answer.json())


def _operation(title: str, operation: Json) -> Iterator[str]:
    yield f"### {code(title)}\n"
    yield prose(f"{operation['summary']}. {operation['description']}") + "\n"
    yield table(
        ("parameter", "in", "holds", ""),
        (
            (
                code(each["name"]),
                each["in"],
                schema.kind(each["schema"], _link),
                prose(each.get("description", "")) or schema.words(each["schema"]),
            )
            for each in operation["parameters"]
        ),
    )
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        yield f"The body is JSON: {schema.kind(body, _link)}.\n"
    yield table(
        ("status", "means", "answer"),
        (
            (code(status), prose(each["description"]), _answer(each))
            for status, each in sorted(operation["responses"].items())
        ),
    )


def _answer(response: Json) -> str:
    kinds = response.get("content", {}).items()
    return ", ".join(
        schema.kind(each["schema"], _link) if "schema" in each else code(media)
        for media, each in kinds
    )


def _link(name: str) -> str:
    return "definition.md" if name.startswith(_DEFINITION) else f"#{_anchor(name)}"


def _anchor(name: str) -> str:
    return f"schema-{name.lower()}"
