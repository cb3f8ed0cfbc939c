"""Makes text from the web storable: no database then refuses a page for what stands on it.

NUL and lone surrogates become U+FFFD, the same way each time; PostgreSQL refuses both, SQLite the
latter. Numbers that SQL cannot hold are bounded, what JSON cannot say is written as text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal
from typing import Any

_LARGEST = 2**31 - 1
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def clean_text(text: str) -> str:
    """The text without NUL and lone surrogates; a pair of surrogates becomes its character."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    text = text.replace("\0", "\ufffd")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def clean_count(number: int) -> int:
    """The number, bounded to 32 bits."""
    return max(-_LARGEST, min(_LARGEST, number))


def clean_size(number: int) -> int:
    """The number of bytes, bounded so that sums of many stay within 64 bits."""
    return max(0, min(2**48, number))


def clean_seconds(seconds: float) -> float:
    """The duration; 0.0 for what is none."""
    return seconds if 0.0 < seconds < math.inf else 0.0


def encode_fields(fields: Mapping[str, Any]) -> str:
    """JSON text of cleaned fields. Decimals, dates and other values become text, in order."""
    return _JSON.encode(_storable(fields))


def decode_fields(text: str | None) -> dict[str, Any]:
    """The fields again; none for None."""
    fields: dict[str, Any] = json.loads(text) if text else {}
    return fields


def encode_carry(carry: Mapping[str, Any]) -> str | None:
    """Like `encode_fields`; None for nothing carried, which is what most links carry."""
    return encode_fields(carry) if carry else None


def encode_names(names: Sequence[str]) -> str | None:
    """JSON list of names; None for an empty one."""
    return _JSON.encode([clean_text(name) for name in names]) if names else None


def decode_names(text: str | None) -> tuple[str, ...]:
    """The names again."""
    return tuple(json.loads(text)) if text else ()


def _storable(value: Any) -> Any:
    if isinstance(value, str):  # first, as most are
        return clean_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {clean_text(str(name)): _storable(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_storable(each) for each in value]
    return _as_text(value)


def _as_text(value: Any) -> Any:
    if isinstance(value, AbstractSet):
        return sorted((_storable(each) for each in value), key=str)
    if isinstance(value, bytes | bytearray):
        return clean_text(bytes(value).decode("utf-8", "replace"))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return clean_text(str(value))
