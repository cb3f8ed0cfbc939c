"""What is worth telling about one page: what went wrong and, when asked for, every field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from crawler.engine.extract.fields import Field, Reading
from crawler.engine.extract.page import storable
from crawler.engine.extract.values import as_text

_MAX_ERRORS: Final = 100
_MAX_TRACED: Final = 2_000
_SHOWN_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class FieldTrace:
    """How one field came about, for people. ``matched`` counts what the selector found, ``raw``
    is the text of the first of it, ``problem`` is "" where all is well. ``match`` counts the
    matches of ``each`` from 1; None for what is about the whole page."""

    rule: str
    field: str
    selector: str
    matched: int
    raw: str
    value: Any
    problem: str
    match: int | None = None


class Named(Protocol):
    """Something that finds something."""

    @property
    def name(self) -> str: ...
    @property
    def selector(self) -> str: ...


class Notes:
    """What is worth telling about one page. ``match``: the match of ``each`` that is read."""

    def __init__(self, label: str, tracing: bool) -> None:
        self.errors: list[str] = []
        self.trace: list[FieldTrace] = []
        self.match: int | None = None
        self._label = label
        self._tracing = tracing

    def note(self, field: Field, reading: Reading) -> None:
        """Remember what a field came to."""
        missing = field.required and is_absent(reading.value)
        said = reading.problem or ("required, but not found" if missing else "")
        self._tell(field, reading, reading.value, reading.found[:1], said)

    def note_links(self, field: Named, reading: Reading, shown: Any) -> None:
        """Remember which references were found; ``shown`` is what the first of them led to."""
        self._tell(field, reading, shown, reading.value[:1], reading.problem)

    def note_matches(self, field: Named, reading: Reading) -> None:
        """Remember what ``each`` found."""
        self._tell(field, reading, f"{len(reading.value)} matches", (), reading.problem)

    def _tell(
        self, field: Named, reading: Reading, value: Any, first: Sequence[Any], problem: str
    ) -> None:
        if reading.problem:
            which = "" if self.match is None else f" (match {self.match})"
            self.add(f"{self._label}.{field.name}: {reading.problem}{which}")
        if self._tracing and len(self.trace) < _MAX_TRACED:
            raw = as_text(storable(first[0]))[:_SHOWN_CHARS] if first else ""
            self.trace.append(
                FieldTrace(
                    self._label,
                    field.name,
                    field.selector,
                    len(reading.found),
                    raw,
                    value,
                    problem,
                    self.match,
                )
            )

    def add(self, error: str) -> None:
        """Remember an error, up to a bound; "" is none."""
        if error and len(self.errors) < _MAX_ERRORS:
            self.errors.append(error)


def is_absent(value: Any) -> bool:
    """Whether a field has no value."""
    return value is None or value == []
