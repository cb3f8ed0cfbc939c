"""What a look at a cluster yields: findings, each with its weight and an advice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding weighs."""

    OK = "ok"  # as it should be
    WARNING = "warning"  # it works, with a risk or a fault that somebody should mend
    FAILURE = "failure"  # a promise does not hold, or nothing can be said about it


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen of ``subject``. ``advice`` is "" where nothing is to be done."""

    subject: str
    severity: Severity
    text: str
    advice: str = ""


def fine(subject: str, text: str) -> Finding:
    """As it should be."""
    return Finding(subject, Severity.OK, text)


def warning(subject: str, text: str, advice: str) -> Finding:
    """A risk."""
    return Finding(subject, Severity.WARNING, text, advice)


def failure(subject: str, text: str, advice: str) -> Finding:
    """A fault."""
    return Finding(subject, Severity.FAILURE, text, advice)


def worst(findings: Iterable[Finding]) -> Severity:
    """The gravest of them; OK where there are none."""
    seen = {each.severity for each in findings}
    return next((each for each in reversed(Severity) if each in seen), Severity.OK)
