"""What is done with pages that are kept as files instead of being read: PDF, pictures, archives."""

from __future__ import annotations

import hashlib
from typing import Any

from crawler.definition import Rule
from crawler.engine.extract.fields import Carry, compile_field
from crawler.engine.extract.notes import Notes, is_absent
from crawler.engine.extract.page import Located
from crawler.engine.files import Keep
from crawler.model import Item


class FilePlan:
    """A rule of kind file compiled. ``keep`` None: nothing is kept, and ``path`` is None."""

    def __init__(self, label: str, rule: Rule, keep: Keep | None) -> None:
        self._label = label
        self._fields = tuple(
            compile_field(name, value, required=value.required) for name, value in rule.item.items()
        )
        self._keep = keep

    def read(self, body: bytes, url: str, content_type: str, carry: Carry, notes: Notes) -> Item:
        """The item of one file: what it is called, what it is, and what was carried to it. Raises
        `FetchFailed` where it cannot be kept."""
        values: dict[str, Any] = {
            "url": url,
            "path": None if self._keep is None else self._keep(body, content_type),
            "sha256": hashlib.sha256(body).hexdigest(),
            "bytes": len(body),
            "content_type": content_type,
        }
        page = Located(url, url, None)
        for field in self._fields:
            reading = field.read(page, None, carry)
            notes.note(field, reading)
            values[field.name] = reading.value
        missing = tuple(
            field.name for field in self._fields if field.required and is_absent(values[field.name])
        )
        return Item(self._label, values, missing)
