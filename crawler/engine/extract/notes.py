"""What is worth telling about one page: what went wrong and, when asked for, every field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from crawler.engine.extract.fields import Field, LinkField, Reading
from crawler.engine.extract.values import as_text

_MAX_ERRORS: Final = 100
_SHOWN_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class FieldTrace:
    """How one field came about, for people. ``matched`` counts what the selector found, ``raw``
    is the text of the first of it, ``problem`` is "" where all is well."""

    rule: str
    field: str
    selector: str
    matched: int
    raw: str
    value: Any
    problem: str


class Notes:
    """What is worth telling about one page."""

    def __init__(self, label: str, tracing: bool) -> None:
        self.errors: list[str] = []
        self.trace: list[FieldTrace] = []
        self._label = label
        self._tracing = tracing

    def note(self, field: Field | LinkField, reading: Reading, shown: Any = None) -> None:
        """Remember what a field came to; ``shown`` stands for the value of links."""
        if reading.problem:
            self.add(f"{self._label}.{field.name}: {reading.problem}")
        if self._tracing:
            value, first = reading.value, reading.found[:1]
            if isinstance(field, LinkField):
                value, first = shown, reading.value[:1]
            raw = as_text(first[0])[:_SHOWN_CHARS] if first else ""
            missing = isinstance(field, Field) and field.required and is_absent(value)
            problem = reading.problem or ("required, but not found" if missing else "")
            self.trace.append(
                FieldTrace(
                    self._label,
                    field.name,
                    field.selector,
                    len(reading.found),
                    raw,
                    value,
                    problem,
                )
            )

    def add(self, error: str) -> None:
        """Remember an error, up to a bound; "" is none."""
        if error and len(self.errors) < _MAX_ERRORS:
            self.errors.append(error)


def is_absent(value: Any) -> bool:
    """Whether a field has no value."""
    return value is None or value == []
