"""URLs that a site makes up without end: told by their looks, and by how many there are."""

from __future__ import annotations

import re
from typing import Protocol

_MAX_PATHS = 10_000  # whose queries are counted at a time
_LONGEST_RUN = 4  # segments that may repeat together
_FAR_YEARS = 100  # what is further away is a number rather than a year

_MONTH_IN_PATH = re.compile(r"/([0-9]{4})[-/](?:0?[1-9]|1[0-2])(?![0-9])")
_CALENDAR = re.compile(r"calendar|agenda|/events?/", re.IGNORECASE)
_DATE_IN_QUERY = re.compile(
    r"(?<![^&])(?:(?:date|month|day|week)=([0-9]{4})-(?:0[1-9]|1[0-2])|year=([0-9]{4})(?=&|\Z))",
    re.IGNORECASE,
)
_OLDEST = 1900


class Bounds(Protocol):
    """How much of each is a trap; 0: it never is."""

    @property
    def repeated_segments(self) -> int: ...
    @property
    def path_segments(self) -> int: ...
    @property
    def queries_per_path(self) -> int: ...
    @property
    def calendar_years(self) -> int: ...


class Traps:
    """Judges URLs that are new to a crawl, in the order in which they are found."""

    def __init__(self, bounds: Bounds, year: int) -> None:
        self._bounds = bounds
        self._year = year
        self._queries: dict[str, int] = {}

    def judge(self, url: str) -> str:
        """Why this canonical URL is taken for a trap; "": it is not."""
        bounds = self._bounds
        path, mark, query = url.partition("?")
        count = path.count("/") - 2
        if bounds.path_segments and count > bounds.path_segments:
            return f"trap: more than {bounds.path_segments} path segments"
        times = bounds.repeated_segments
        if times and count >= times and repeats(path.split("/")[3:], times):
            return f"trap: the path repeats itself {times} times"
        if bounds.calendar_years and self._endless_calendar(path, query):
            return "trap: an endless calendar"
        if mark and bounds.queries_per_path and "&" in query and self._crowded(path):
            return f"trap: more than {bounds.queries_per_path} queries of one path"
        return ""

    def _endless_calendar(self, path: str, query: str) -> bool:
        if query and (found := _DATE_IN_QUERY.search(query)) is not None:
            return self._is_far(int(found[1] or found[2]))
        found = _MONTH_IN_PATH.search(path)
        return found is not None and self._is_far(int(found[1])) and bool(_CALENDAR.search(path))

    def _is_far(self, year: int) -> bool:
        latest = self._year + self._bounds.calendar_years
        return latest < year <= latest + _FAR_YEARS or _OLDEST - _FAR_YEARS <= year < _OLDEST

    def _crowded(self, path: str) -> bool:
        """Count one more query of several parameters (a single one usually names a page)."""
        counts = self._queries
        count = counts.get(path, 0) + 1
        if count == 1 and len(counts) >= _MAX_PATHS:
            self._forget()
        self._queries[path] = count
        return count > self._bounds.queries_per_path

    def _forget(self) -> None:
        """Make room: what has come up most stays."""
        ranked = sorted(self._queries.items(), key=lambda entry: entry[1], reverse=True)
        self._queries = dict(ranked[: _MAX_PATHS // 2])


def repeats(segments: list[str], times: int) -> bool:
    """Whether a run of segments stands there ``times`` times, one behind the other. Runs of
    numbers and single letters are places of files rather than traps."""
    count = len(segments)
    if len(set(segments)) > count - times + 1:
        return False  # the usual case: too many that differ
    for size in range(1, min(_LONGEST_RUN, count // times) + 1):
        same = 0  # segments in a row that equal the one ``size`` before them
        for at in range(size, count):
            same = same + 1 if segments[at] == segments[at - size] else 0
            if same == size * (times - 1) and any(
                len(each) > 1 and not each.isdecimal() for each in segments[at - size + 1 : at + 1]
            ):
                return True
    return False
