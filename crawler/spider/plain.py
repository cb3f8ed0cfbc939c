"""From what Python code holds to what the store keeps: plain JSON values, or a clear refusal."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

from crawler.engine.extract.page import as_json, storable

MAX_META: Final = 16_384  # characters of JSON that a request carries
MAX_ITEMS: Final = 16_777_216  # characters of JSON of all items of a page
_MAX_DEPTH: Final = 32
_JSON: Final = "strings, numbers, true, false, None, lists and dicts of these"


def plain_meta(meta: object) -> dict[str, Any]:
    """What a request carries, as it comes back after a stop. Raises `ValueError` for what would
    not come back the same, naming where it stands."""
    if not isinstance(meta, Mapping):
        raise ValueError(f"meta: must be a dict (got {type(meta).__name__})")
    for name in meta:
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"meta: names are like those of variables (got {name!r})")
    carried: dict[str, Any] = _plain(meta, "meta", 0, exact=True)
    if len(as_json(carried)) > MAX_META:
        raise ValueError(
            f"meta: more than {MAX_META:,} characters as JSON; carry what the page needs only"
        )
    return carried


def is_item(value: object) -> bool:
    """Whether a callback that yields this yields an item: a dict, or an instance of a dataclass."""
    return isinstance(value, Mapping) or (
        dataclasses.is_dataclass(value) and not isinstance(value, type)
    )


def plain_item(item: object) -> dict[str, Any]:
    """The fields of an item as they are kept: decimals as strings, dates and times as ISO 8601.
    Raises `ValueError` that names the field."""
    if not is_item(item):
        raise ValueError(f"an item is a dict or a dataclass (got {type(item).__name__})")
    fields: dict[str, Any] = _plain(item, "item", 0, exact=False)
    for name in fields:
        if name.startswith("_"):
            raise ValueError(
                f"item[{name!r}]: names that begin with _ are for what is added to every item "
                "(_url, _rule, _missing); choose another"
            )
    return fields


def _plain(value: Any, path: str, depth: int, *, exact: bool) -> Any:
    """``exact``: only what comes back from JSON as what it was."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"{path}: nested more than {_MAX_DEPTH} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return storable(str(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{path}: {value} is no number in JSON; use None")
        return float(value)
    if isinstance(value, list) or (isinstance(value, tuple) and not exact):
        return [
            _plain(each, f"{path}[{at}]", depth + 1, exact=exact) for at, each in enumerate(value)
        ]
    if isinstance(value, Mapping):
        return _plain_dict(value, path, depth, exact=exact)
    if not exact:
        if isinstance(value, Decimal) and value.is_finite():
            return format(value, "f")
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
            return _plain_dict(fields, path, depth, exact=exact)
    raise ValueError(f"{path}: {type(value).__name__} cannot be kept; of JSON there are {_JSON}")


def _plain_dict(values: Mapping[Any, Any], path: str, depth: int, *, exact: bool) -> dict[str, Any]:
    found = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise ValueError(f"{path}: names are strings (got {name!r})")
        found[storable(name)] = _plain(value, f"{path}[{name!r}]", depth + 1, exact=exact)
    return found
