"""Bodies and queries read into models: bounded, and every refusal names its field.

The content type is not looked at: curl sends a form's unless told otherwise.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from crawler.errors import InvalidInput, TooLarge

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_SHOWN = 300  # characters of a path
READ_S = 30.0

M = TypeVar("M", bound=BaseModel)


async def read_body(request: web.Request, model: type[M]) -> M:
    """The body as ``model``; an empty one is ``{}``.

    Raises `InvalidInput` or `TooLarge`; aiohttp's 408 where it does not arrive within `READ_S`.
    """
    return parse_body(await _read_bytes(request), model)


def parse_body(raw: bytes, model: type[M]) -> M:
    """Decode and validate; raises `InvalidInput` naming the field, ``body`` for the whole."""
    text = _text(raw)
    value = _decode(text) if text.strip() else {}
    if not isinstance(value, dict):
        raise InvalidInput("body: must be a JSON object", field="body")
    _check_tree(value, text)
    return _validate(value, model)


def parse_query(pairs: Iterable[tuple[str, str]], model: type[M]) -> M:
    """The query parameters as ``model``, each given once at most."""
    return _validate(_once(list(pairs)), model)


async def _read_bytes(request: web.Request) -> bytes:
    too_large = TooLarge(f"body: larger than {MAX_BYTES} bytes")
    if request.content_length is not None and request.content_length > MAX_BYTES:
        raise too_large
    raw = bytearray()
    try:
        async with asyncio.timeout(READ_S):
            async for chunk in request.content.iter_any():
                raw += chunk
                if len(raw) > MAX_BYTES:
                    raise too_large
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(reason="the body did not arrive in time") from error
    except (web.RequestPayloadError, ValueError) as error:
        why = " ".join(str(error).removeprefix("400, message:").split())
        raise InvalidInput(f"body: cannot be read: {why}", field="body") from error
    return bytes(raw)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"body: not UTF-8 at byte {error.start}", field="body") from error


def _decode(text: str) -> Any:
    """JSON as RFC 8259 has it: no NaN, no name twice."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidInput(f"body: not JSON at {where}: {error.msg}", field="body") from error
    except RecursionError as error:
        raise InvalidInput(f"body: nested deeper than {MAX_DEPTH}", field="body") from error
    except ValueError as error:  # an integer of thousands of digits
        raise InvalidInput(f"body: {error}", field="body") from error


def _no_constant(text: str) -> None:
    raise InvalidInput(f"body: {text} is not JSON", field="body")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    taken = dict(pairs)
    if len(taken) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidInput(f"{_shown(name)}: given twice", field=_shown(name))
            seen.add(name)
    return taken


def _check_tree(value: dict[str, Any], text: str) -> None:
    """Refuse what cannot be stored: too deep, or text with half a character (lone surrogates)."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        lists = [node for node in level if isinstance(node, list)]
        objects = [node.values() for node in level if isinstance(node, dict)]
        level = [child for node in (*lists, *objects) for child in node]
    if level:
        raise InvalidInput(f"body: nested deeper than {MAX_DEPTH}", field="body")
    if "\\u" in text and (path := _half_character(value, "")) is not None:
        raise InvalidInput(f"{path}: not valid Unicode", field=path)


def _half_character(node: Any, path: str) -> str | None:
    """Path to the first text that UTF-8 cannot carry; the tree is known not to be deep."""
    if isinstance(node, str):
        return None if _encodable(node) else path
    children: Iterable[tuple[str, Any]] = ()
    if isinstance(node, dict):
        for key in node:
            if not _encodable(key):
                return _joined(path, key)
        children = ((_joined(path, key), child) for key, child in node.items())
    elif isinstance(node, list):
        children = ((f"{path}[{number}]", child) for number, child in enumerate(node))
    found = (_half_character(child, where) for where, child in children)
    return next((where for where in found if where is not None), None)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _validate(value: Mapping[str, Any], model: type[M]) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _refusal(error, model) from error


def _refusal(error: ValidationError, model: type[BaseModel]) -> InvalidInput:
    first = error.errors(include_url=False, include_context=False)[0]
    path = ""
    for step in first["loc"]:
        path = f"{path}[{step}]" if isinstance(step, int) else _joined(path, step)
    path = path or "body"
    if first["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields) or "none"
        return InvalidInput(f"{path}: unknown field; known here: {known}", field=path)
    if first["type"] == "missing":
        return InvalidInput(f"{path}: required", field=path)
    return InvalidInput(f"{path}: {first['msg'].removeprefix('Value error, ')}", field=path)


def _joined(path: str, key: str) -> str:
    return f"{path[:MAX_SHOWN]}.{_shown(key)}" if path else _shown(key)


def _shown(key: str) -> str:
    """A field's name as it may stand in a message: short, no control characters."""
    return key[:64] if key.isprintable() else repr(key[:64])[1:-1]
