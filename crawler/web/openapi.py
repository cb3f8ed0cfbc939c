"""The OpenAPI 3.1 document, made of the routes and of the models that validate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from crawler.telemetry.correlation import MAX_CHARS
from crawler.web.models import DefinitionBody, ErrorAnswer, Nothing
from crawler.web.route import KEY, LAST_EVENT_ID, REQUEST_ID, AnyRoute

REF = "#/components/schemas/{model}"

ABOUT = """Crawls ("resources"), what came of them, and the nodes that do the work. Any master
answers; what changes something goes to the leader, wherever that is. Success means durable. A
definite error (4xx, 503) means no effect; after any other, sending the same again is safe."""
BEARER = "Made by `crawler token NAME`; needed where nodes are given a file of tokens."
TAGS = {
    "resources": "Crawls: added, changed, steered, deleted and shown.",
    "results": "Items, pages, runs and events, page by page.",
    "nodes": "Masters and workers.",
    "events": "What happens, as it happens: server-sent events.",
    "definitions": "What a crawl is to do: checked, tried on a page, begun from a URL.",
    "console": "Signing in with a browser.",
    "probes": "Is it there, alive, ready?",
}
SUCCESSES = {
    200: "Done, durably.",
    202: "Accepted, durably; no worker is there yet.",
    503: "Not ready; the checks say why.",
}
FAILURES = {
    400: "The request makes no sense; `details` names the field.",
    401: "A token is needed, or this one is not known.",
    403: "This token may not do that, or the request comes from a foreign web page.",
    404: "There is nothing of that name.",
    408: "The body did not arrive in time.",
    409: "It exists or stands otherwise.",
    413: "The body, or a part of it, is larger than allowed.",
    429: "Too many requests or too many resources for this token.",
    500: "A fault of ours; the log of the node tells more.",
    503: "Nothing happened: no leader, or etcd or the store is away.",
    504: "The outcome is unknown; repeating the request is safe.",
}
REQUEST_ID_PARAMETER = {
    "name": REQUEST_ID,
    "in": "header",
    "required": False,
    "description": "the caller's own mark, for the logs: printable ASCII",
    "schema": {"type": "string", "maxLength": MAX_CHARS, "pattern": "^[ -~]*$"},
}
PATHS = {
    "name": "of the resource: a letter or digit of any script, then those and ._-",
    "id": "of the node: go.micro.server.worker-2",
}
KEY_PARAMETER = {
    "name": KEY,
    "in": "header",
    "required": False,
    "description": "any text of the caller's own, a uuid for instance: the same request with the "
    "same key gets the same answer, and is carried out once, for a day",
    "schema": {"type": "string", "maxLength": MAX_CHARS, "pattern": "^[ -~]*$"},
}
LAST_EVENT_PARAMETER = {
    "name": LAST_EVENT_ID,
    "in": "header",
    "required": False,
    "description": "the last `id` that was received; goes before `since`",
    "schema": {"type": "string", "maxLength": MAX_CHARS, "pattern": "^[ -~]*$"},
}

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]


def document(
    routes: Sequence[AnyRoute], version: str, definition: Mapping[str, Any] | None = None
) -> Json:
    """The whole document. ``definition`` is the JSON Schema of a definition, where one is known."""
    models: set[tuple[type[BaseModel], Mode]] = {(ErrorAnswer, "serialization")}
    for route in routes:
        models |= {
            (route.reply, "serialization"),
            (route.body, "validation"),
            (route.query, "validation"),
        }
    ordered = sorted(models, key=lambda each: (each[0].__name__, each[1]))
    refs, schema = models_json_schema(ordered, by_alias=False, ref_template=REF)
    schemas: Json = schema.get("$defs", {})
    if definition is not None:
        schemas |= _hoisted(definition, DefinitionBody.__name__)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "crawler", "version": version, "description": ABOUT},
        "tags": [
            {"name": tag, "description": TAGS.get(tag, "")}
            for tag in dict.fromkeys(route.tag for route in routes)
        ],
        "security": [{"bearer": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": BEARER}
            },
        },
    }


def _operation(route: AnyRoute, refs: Mapping[Any, Json], schemas: Json) -> Json:
    reply = {"content": {route.media: {"schema": refs[route.reply, "serialization"]}}}
    headers = [REQUEST_ID_PARAMETER]
    if route.media == "text/event-stream":
        headers.append(LAST_EVENT_PARAMETER)
    if route.keyed:
        headers.append(KEY_PARAMETER)
    operation: Json = {
        "summary": route.summary,
        "description": f"Where callers have tokens: one that may {route.need}.",
        "operationId": _operation_id(route),
        "tags": [route.tag],
        "parameters": [
            *_path_parameters(route),
            *_query_parameters(route, schemas),
            *headers,
        ],
        "responses": {
            **{
                str(status): {"description": FAILURES[status], **_error(status, refs)}
                for status in route.failures
            },
            **{
                str(status): {"description": SUCCESSES[status], **reply}
                for status in route.statuses
            },
        },
    }
    if route.method != "GET" and route.body is not Nothing:
        operation["requestBody"] = {
            "required": any(field.is_required() for field in route.body.model_fields.values()),
            **_json(refs[route.body, "validation"]),
        }
    return operation


def _error(status: int, refs: Mapping[Any, Json]) -> Json:
    headers = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
    shown = _json(refs[ErrorAnswer, "serialization"])
    if status in headers:
        shown["headers"] = {headers[status]: {"schema": {"type": "string"}}}
    return shown


def _operation_id(route: AnyRoute) -> str:
    words = [part.strip("{}") for part in route.path.split("/") if part]
    return "_".join([route.method.lower(), *words])


def _json(schema: Json) -> Json:
    return {"content": {"application/json": {"schema": schema}}}


def _path_parameters(route: AnyRoute) -> list[Json]:
    return [
        {
            "name": part[1:-1],
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 128},
            "description": PATHS[part[1:-1]],
        }
        for part in route.path.split("/")
        if part.startswith("{")
    ]


def _query_parameters(route: AnyRoute, schemas: Json) -> list[Json]:
    properties: Mapping[str, Json] = schemas[route.query.__name__].get("properties", {})
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties.items()
    ]


def _hoisted(schema: Mapping[str, Any], name: str) -> Json:
    """A schema with ``$defs`` of its own, as components: ``name`` and one per definition."""
    own = {key: value for key, value in schema.items() if key != "$defs"}
    parts = {f"{name}.{key}": value for key, value in schema.get("$defs", {}).items()}
    return {key: _moved(value, name) for key, value in {name: own, **parts}.items()}


def _moved(node: Any, name: str) -> Any:
    """The schema with its references pointing to where `_hoisted` put their targets."""
    if isinstance(node, list):
        return [_moved(each, name) for each in node]
    if not isinstance(node, dict):
        return node
    moved = {key: _moved(value, name) for key, value in node.items()}
    target = moved.get("$ref")
    if isinstance(target, str) and target.startswith("#/$defs/"):
        moved["$ref"] = REF.format(model=f"{name}.{target.removeprefix('#/$defs/')}")
    return moved
