"""What a definition may say of runs after the first: what they spare the site and themselves."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from crawler.definition.checks import wrong
from crawler.definition.rules import Flag, Model
from crawler.definition.schedule import duration, seconds_of

DEFAULT_MAX: Final = "30d"

_Interval = Annotated[str, BeforeValidator(duration, json_schema_input_type=str | int)]


class Recrawl(Model):
    """How a run builds on the run before it."""

    conditional: Flag = Field(
        default=True,
        description="a run begins with the pages of the run before, asks whether they have "
        "changed, and keeps the items of those that have not; false: it begins anew",
    )
    unlinked: Literal["keep", "forget"] = Field(
        default="keep",
        description="pages of the run before that nobody leads to in this one: kept as long as "
        "they answer, or left out",
    )
    min_interval: _Interval | None = Field(
        default=None,
        description="30m, 6h, 1d: a page is not asked again sooner, and one that does not change "
        "twice as late each time; none: every run asks every page",
    )
    max_interval: _Interval | None = Field(
        default=None, description=f"no page is asked later than that; {DEFAULT_MAX} unless said"
    )

    @model_validator(mode="after")
    def _check_intervals(self) -> Recrawl:
        if self.min_interval is None and self.max_interval is not None:
            raise wrong("max_interval needs a min_interval to begin with")
        if self.min_interval is not None and not self.conditional:
            raise wrong("min_interval needs conditional = true: pages are compared with a run")
        if self.min_interval is not None and self.max_s < self.min_s:
            raise wrong(f"max_interval ({self.max_interval or DEFAULT_MAX}) is below min_interval")
        return self

    @property
    def min_s(self) -> float:
        """Seconds; 0.0: every run asks every page."""
        return 0.0 if self.min_interval is None else float(seconds_of(self.min_interval))

    @property
    def max_s(self) -> float:
        """Seconds."""
        return float(seconds_of(self.max_interval or DEFAULT_MAX))
