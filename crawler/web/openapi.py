"""The OpenAPI 3.1 document, made of the routes and of the models that validate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from crawler.web.models import DefinitionBody, ErrorAnswer, Nothing
from crawler.web.route import AnyRoute

REF = "#/components/schemas/{model}"

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
        "info": {"title": "crawler", "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(route: AnyRoute, refs: Mapping[Any, Json], schemas: Json) -> Json:
    reply = _json(refs[route.reply, "serialization"])
    operation: Json = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas)],
        "responses": {
            **{str(status): {"description": "OK", **reply} for status in route.statuses},
            "default": {
                "description": "refused or failed",
                **_json(refs[ErrorAnswer, "serialization"]),
            },
        },
    }
    if route.method != "GET" and route.body is not Nothing:
        operation["requestBody"] = {
            "required": any(field.is_required() for field in route.body.model_fields.values()),
            **_json(refs[route.body, "validation"]),
        }
    return operation


def _operation_id(route: AnyRoute) -> str:
    words = [part.strip("{}") for part in route.path.split("/") if part]
    return "_".join([route.method.lower(), *words])


def _json(schema: Json) -> Json:
    return {"content": {"application/json": {"schema": schema}}}


def _path_parameters(route: AnyRoute) -> list[Json]:
    return [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
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
