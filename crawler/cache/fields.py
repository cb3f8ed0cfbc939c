"""Header fields as they came, and the two kinds of values that caching turns on. Pure."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from email.utils import formatdate

Pairs = tuple[tuple[str, str], ...]

MOST_S = 1 << 31  # RFC 9111, 1.2.2: what is larger counts as this
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MEMBER = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+')
_DIGITS = re.compile(r"[0-9]+")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = r"(?P<day>[0-9]{2})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_WEEKDAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_WEEKDAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
# RFC 9110, 5.6.7: the form of today, that of RFC 850, and that of asctime.
_DATES = tuple(
    re.compile(form)
    for form in (
        rf"{_WEEKDAY}, {_DAY} {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"{_LONG_WEEKDAY}, {_DAY}-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"{_WEEKDAY} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


@dataclass(frozen=True, slots=True)
class Fields:
    """Names and values in their order; names are looked up in any case."""

    pairs: Pairs = ()

    def all(self, name: str) -> tuple[str, ...]:
        """The values of all lines of this name."""
        wanted = name.lower()
        return tuple(value for each, value in self.pairs if each.lower() == wanted)

    def get(self, name: str) -> str:
        """All of them as one list; "" where there is none."""
        return ", ".join(self.all(name))

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def without(self, names: Set[str]) -> Fields:
        """All but those; ``names`` in lower case."""
        return Fields(tuple(pair for pair in self.pairs if pair[0].lower() not in names))

    def with_one(self, name: str, value: str) -> Fields:
        """With this in the place of all of its name."""
        return self.without(frozenset({name.lower()})).plus((name, value))

    def plus(self, *pairs: tuple[str, str]) -> Fields:
        """With these at the end."""
        return Fields((*self.pairs, *pairs))


def members(values: Iterable[str]) -> Iterator[str]:
    """The members of a list (RFC 9110, 5.6.1), quoted commas left alone, empty ones passed over."""
    for value in values:
        for found in _MEMBER.finditer(value):
            if member := found[0].strip(" \t"):
                yield member


def unquoted(text: str) -> str:
    """What a token or a quoted string says."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


@dataclass(frozen=True, slots=True)
class Directives:
    """A Cache-Control field (RFC 9111, 5.2): of a directive that comes twice, the first counts."""

    values: dict[str, str | None]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def seconds(self, name: str) -> int | None:
        """Its argument; None where the directive is absent, 0 where it is no number of seconds:
        what says nothing sensible of its freshness is taken for stale (4.2.1)."""
        if name not in self.values:
            return None
        return delta_seconds(self.values[name] or "") or 0


def directives(fields: Fields) -> Directives:
    """What Cache-Control says; of a request and of an answer alike."""
    found: dict[str, str | None] = {}
    for member in members(fields.all("cache-control")):
        name, equals, argument = member.partition("=")
        if _TOKEN.fullmatch(name) is not None:
            found.setdefault(name.lower(), unquoted(argument) if equals else None)
    return Directives(found)


def delta_seconds(text: str) -> int | None:
    """A number of seconds (RFC 9111, 1.2.2); None for anything else."""
    if _DIGITS.fullmatch(text) is None:
        return None
    return min(int(text[:12]), MOST_S)


def http_date(text: str, now: float) -> int | None:
    """A date as Unix seconds; None for what is none. ``now``: two digits of a year more than 50
    years ahead of that are of the century before (RFC 9110, 5.6.7)."""
    for form in _DATES:
        found = form.fullmatch(text.strip(" \t"))
        if found is None:
            continue
        year = int(found["year"])
        if len(found["year"]) == 2:
            this_year = 1970 + int(now // 31556952)
            year += this_year - this_year % 100
            year -= 100 if year > this_year + 50 else 0
        month = _MONTHS.index(found["month"]) + 1
        day, hour = int(found["day"]), int(found["hour"])
        minute, second = int(found["minute"]), int(found["second"])
        if not 1 <= day <= 31 or hour > 23 or minute > 59 or second > 60:
            return None
        return timegm((year, month, day, hour, minute, second))
    return None


def date_text(at: float) -> str:
    """Unix seconds as the form of today."""
    return formatdate(at, usegmt=True)
