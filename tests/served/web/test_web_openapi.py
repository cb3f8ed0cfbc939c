"""The OpenAPI document says what the API does."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from crawler.web import docs
from tests.fakes.api import FakeCluster, serve_api

SCHEMA = {
    "type": "object",
    "properties": {"rules": {"type": "array", "items": {"$ref": "#/$defs/Rule"}}},
    "$defs": {"Rule": {"type": "object", "properties": {"to": {"$ref": "#/$defs/Rule"}}}},
}

PATHS = {
    "/crawler/resource": {"post", "delete", "get"},
    "/crawler/resource/{name}": {"get", "put", "delete"},
    "/crawler/resource/{name}/pause": {"post"},
    "/crawler/resource/{name}/resume": {"post"},
    "/crawler/resource/{name}/stop": {"post"},
    "/crawler/resource/{name}/start": {"post"},
    "/crawler/resource/{name}/live": {"get"},
    "/crawler/resource/{name}/logs": {"get"},
    "/crawler/resource/{name}/logs/follow": {"get"},
    "/crawler/resource/{name}/retry": {"post"},
    "/crawler/resource/{name}/items": {"get"},
    "/crawler/resource/{name}/items.csv": {"get"},
    "/crawler/resource/{name}/items.jsonl": {"get"},
    "/crawler/resource/{name}/pages": {"get"},
    "/crawler/resource/{name}/pages.csv": {"get"},
    "/crawler/resource/{name}/pages.jsonl": {"get"},
    "/crawler/resource/{name}/reasons": {"get"},
    "/crawler/resource/{name}/url": {"get"},
    "/crawler/task": {"get"},
    "/crawler/overview": {"get"},
    "/crawler/resource/{name}/runs": {"get"},
    "/crawler/resource/{name}/export": {"get"},
    "/crawler/resource/{name}/sinks": {"get"},
    "/crawler/resource/{name}/stats": {"get"},
    "/crawler/resource/{name}/events": {"get"},
    "/crawler/node": {"get"},
    "/crawler/node/{id}/drain": {"post"},
    "/crawler/check": {"post"},
    "/crawler/try": {"post"},
    "/crawler/starter": {"post"},
    "/console/session": {"get", "post", "delete"},
    "/healthz": {"get"},
    "/crawler/event": {"get"},
    "/crawler/events": {"get"},
    "/greeter/hello": {"post"},
    "/readyz": {"get"},
}

LOOKING = {"/crawler/try", "/crawler/starter"}

# What callers may say besides a definition. None of it is a place to fetch from.
TAKEN = {
    "name", "id", "assigned_node", "creation_time", "definition", "undo", "after", "limit", "state",
    "cursor", "prefix", "contains", "X-Request-Id", "Last-Event-ID", "Idempotency-Key", "status",
    "run", "since", "until", "reason", "dry_run",
    "token", "text", "url", "key",
}  # fmt: skip


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


async def fetch(cluster: FakeCluster) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession(cluster.url) as http,
        http.get("/openapi.json") as response,
    ):
        assert response.status == 200
        document: dict[str, Any] = json.loads(await response.read())
    return document


async def test_every_route_is_described(cluster: FakeCluster) -> None:
    document = await fetch(cluster)
    assert document["openapi"] == "3.1.0"
    assert {path: set(methods) for path, methods in document["paths"].items()} == PATHS
    ids = [
        each["operationId"] for methods in document["paths"].values() for each in methods.values()
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.threat(11)
async def test_nobody_is_asked_to_fetch_something_for_a_caller(cluster: FakeCluster) -> None:
    """URLs come in by definitions only, which are crawled by their rules, guarded and polite; and
    where one is tried on a page, by a worker under the same guard."""
    document = await fetch(cluster)
    for path in document["paths"].keys() - LOOKING:
        methods = document["paths"][path]
        for method, each in methods.items():
            names = {parameter["name"] for parameter in each["parameters"]}
            content = each.get("requestBody", {}).get("content", {})
            for body in content.values():
                model = body["schema"]["$ref"].rpartition("/")[2]
                names |= set(document["components"]["schemas"][model].get("properties", {}))
            assert names <= TAKEN, (method, path)


async def test_every_reference_leads_somewhere() -> None:
    async with serve_api(definition_schema=SCHEMA) as cluster:
        document = await fetch(cluster)
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    assert schemas["DefinitionBody"]["properties"]["rules"]["items"] == {
        "$ref": "#/components/schemas/DefinitionBody.Rule"
    }


async def test_requests_and_answers_come_from_the_models(cluster: FakeCluster) -> None:
    document = await fetch(cluster)
    schemas = document["components"]["schemas"]
    assert schemas["ResourceSpec"]["required"] == ["name"]
    assert schemas["ResourceSpec"]["additionalProperties"] is False
    assert set(schemas["NodeSpec"]["properties"]) == {"id", "Address"}
    assert set(schemas["ErrorAnswer"]["properties"]) == {"code", "message", "details"}
    pages = document["paths"]["/crawler/resource/{name}/pages"]["get"]
    named = {each["name"]: each["in"] for each in pages["parameters"]}
    assert named.pop("X-Request-Id") == "header"
    assert named == {
        "name": "path", "cursor": "query", "limit": "query", "state": "query", "status": "query",
        "run": "query", "text": "query",
    }  # fmt: skip
    post = document["paths"]["/crawler/resource"]["post"]
    assert post["requestBody"]["required"] is True
    assert set(post["responses"]) == {
        "200", "202", "400", "401", "403", "404", "408", "409", "413", "429", "500", "503", "504",
    }  # fmt: skip
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_the_page_shows_every_operation_and_runs_nothing(cluster: FakeCluster) -> None:
    document = await fetch(cluster)
    async with aiohttp.ClientSession(cluster.url) as http:
        async with http.get("/docs") as response:
            page, policy = await response.text(), response.headers["Content-Security-Policy"]
        async with http.get("/docs.css") as response:
            assert (response.status, response.content_type) == (200, "text/css")
    assert policy == "default-src 'none'; style-src 'self'; frame-ancestors 'none'"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"<code>{method.upper()} {path}</code>" in page
            assert operation["summary"] in html.unescape(page)
            assert operation["tags"]
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page
    assert not re.search(r"<script|<style|style=|\son\w+=|(src|href)=.https?:", page)


def test_what_a_document_says_is_text() -> None:
    hostile = "</p><script>alert(1)</script>"
    operation = {
        "operationId": "x", "tags": [hostile], "summary": hostile, "description": hostile,
        "parameters": [], "responses": {"200": {"description": hostile}},
    }  # fmt: skip
    document = {
        "info": {"title": hostile, "version": hostile, "description": hostile},
        "tags": [{"name": hostile, "description": hostile}],
        "paths": {hostile: {"get": operation}},
        "components": {"schemas": {hostile: {"description": hostile, "examples": [hostile]}}},
    }
    assert "<script" not in docs.render(document)
