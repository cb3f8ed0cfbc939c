"""Dates and times as people and programs write them, read into ISO 8601."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_MAX_CHARS: Final = 100
_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_EPOCH: Final = re.compile(r"\d{10}(?:\d{3})?(?:\.\d{1,9})?")
_ISO: Final = re.compile(r"\d{4}-?\d{2}")
_RFC5322: Final = re.compile(r"(?:[A-Za-z]{3},\s*)?\d{1,2} [A-Za-z]{3} \d{4} \d")
_YEAR_FIRST: Final = re.compile(r"(?P<y>\d{4})[./](?P<m>\d{1,2})[./](?P<d>\d{1,2})")
_YEAR_LAST: Final = re.compile(r"(?P<a>\d{1,2})(?P<mark>[./-])(?P<b>\d{1,2})(?P=mark)(?P<y>\d{4})")
_DAY_FIRST: Final = re.compile(
    r"(?P<d>\d{1,2})(?:st|nd|rd|th|\.)?(?:\s+of)?[\s-]+(?P<mon>[a-z]{3,9})\.?,?[\s-]+(?P<y>\d{4})",
    re.IGNORECASE,
)
_MONTH_FIRST: Final = re.compile(
    r"(?P<mon>[a-z]{3,9})\.?\s+(?P<d>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<y>\d{4})", re.IGNORECASE
)
_CLOCK: Final = re.compile(
    r"(?<![\d:])(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2}))?\s*(?P<half>[ap]\.?m\.?)?"
    r"\s*(?P<zone>z|utc|gmt|[+-]\d{2}:?\d{2})?(?![\w:])",
    re.IGNORECASE,
)


def read_datetime(text: str) -> str:
    """The date or time in ISO 8601, no more exact than the text is; `ValueError` where none is.

    Read are ISO 8601, RFC 5322 (``Tue, 2 Jan 2024 10:00:00 +0100``), Unix times of 10 (seconds)
    or 13 digits (milliseconds), ``2 January 2024``, ``Jan 2, 2024``, ``2024/01/02``,
    ``02.01.2024`` (day first) and ``31/12/2024`` where only one order is possible; a time of day
    may stand with each. A zone is never invented.
    """
    text = text.strip()
    if not text or len(text) > _MAX_CHARS:
        raise ValueError(f"no date in {text[:60]!r}")
    if _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(int(text[:10]), UTC).isoformat()
    return _read_iso(text) or _read_rfc5322(text) or _read_written(text)


def _read_iso(text: str) -> str:
    if _ISO.match(text) is None:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text.replace(" UTC", "+00:00")).isoformat()
    except ValueError:
        return ""


def _read_rfc5322(text: str) -> str:
    if _RFC5322.match(text) is None:
        return ""
    try:
        return parsedate_to_datetime(text).isoformat()
    except ValueError:
        return ""


def _read_written(text: str) -> str:
    day, rest = _find_day(text)
    clock = _CLOCK.search(rest)
    return f"{day.isoformat()}T{_read_clock(clock)}" if clock else day.isoformat()


def _find_day(text: str) -> tuple[date, str]:
    """The day, and the text around what said it."""
    for pattern in (_YEAR_FIRST, _YEAR_LAST, _DAY_FIRST, _MONTH_FIRST):
        match = pattern.search(text)
        if match is None:
            continue
        parts = match.groupdict()
        if "mon" in parts:
            name = parts["mon"][:3].lower()
            if name not in _MONTHS:
                continue
            day, month = int(parts["d"]), _MONTHS.index(name) + 1
        elif "mark" in parts:
            day, month = _ordered(int(parts["a"]), int(parts["b"]), parts["mark"])
        else:
            month, day = int(parts["m"]), int(parts["d"])
        rest = f"{text[: match.start()]} {text[match.end() :]}"
        return date(int(parts["y"]), month, day), rest
    raise ValueError(f"no date in {text[:60]!r}")


def _ordered(first: int, second: int, mark: str) -> tuple[int, int]:
    """Day and month of two numbers, where it is certain which is which."""
    if mark == "." or first > 12 or first == second:
        return first, second
    if second > 12:
        return second, first
    raise ValueError(f"{first}{mark}{second}: which is the day, which the month?")


def _read_clock(match: re.Match[str]) -> str:
    hour, half = int(match["h"]), (match["half"] or "")[:1].lower()
    if half:
        hour = hour % 12 + 12 * (half == "p")
    seconds = match["s"] or "00"
    zone = (match["zone"] or "").lower()
    if zone in ("z", "utc", "gmt"):
        zone = "+00:00"
    elif zone and ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    return datetime.fromisoformat(
        f"2000-01-01T{hour:02}:{match['min']}:{seconds}{zone}"
    ).isoformat()[11:]
