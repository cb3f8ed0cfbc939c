"""When a definition takes a URL for one that a site makes up without end."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from crawler.definition.rules import Flag, Model

_Few = Annotated[int, Field(strict=True, ge=0, le=1_000)]


class Traps(Model):
    """What tells such a URL. 0: nothing of the kind does."""

    repeated_segments: _Few = Field(
        default=3, description="a path repeats itself so often, /shop/cart/shop/cart/shop/cart"
    )
    path_segments: _Few = Field(default=40, description="a path has more segments")
    queries_per_path: Annotated[int, Field(strict=True, ge=0, le=1_000_000_000_000)] = Field(
        default=20_000, description="one path has more queries of several parameters"
    )
    calendar_years: _Few = Field(
        default=5, description="a calendar page is so many years ahead, or before 1900"
    )
    session_ids: Flag = Field(
        default=True, description="session ids (PHPSESSID and the like) are dropped from links"
    )

    def any(self) -> bool:
        """Whether URLs are to be judged."""
        return bool(
            self.repeated_segments
            or self.path_segments
            or self.queries_per_path
            or self.calendar_years
        )


_NONE: Final = {
    "repeated_segments": 0,
    "path_segments": 0,
    "queries_per_path": 0,
    "calendar_years": 0,
    "session_ids": False,
}


def as_traps(value: Any) -> Any:
    """What ``traps = true`` and ``traps = false`` are short for."""
    return (_NONE if value is False else {}) if isinstance(value, bool) else value
