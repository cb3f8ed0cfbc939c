"""Where a crawl's items are sent while it goes on: the ``[[sinks]]`` of a definition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from pydantic_core import ValidationError

from crawler.definition import checks
from crawler.definition.checks import shortened, wrong
from crawler.definition.secrets import names_secret

_STEP: Final = re.compile(r"\w[\w.-]{0,99}")
_MAX_STEPS: Final = 5
# What each kind needs, and what it may have besides.
_FIELDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "webhook": ("url", ("headers",)),
    "file": ("path", ()),
}


def _file_path(text: str) -> str:
    """A path below the directory that the worker keeps for sinks."""
    steps = text.split("/")
    if len(steps) > _MAX_STEPS or any(_STEP.fullmatch(step) is None for step in steps):
        raise wrong(
            f"must be a file below the workers' directory of sinks, like items.jsonl or "
            f"daily/items.jsonl, of at most {_MAX_STEPS} names (got {shortened(text)})"
        )
    return text


def _headers(values: Mapping[str, str]) -> Mapping[str, str]:
    """As those of requests, but written out: the secrets of workers are for crawled domains."""
    for name, value in values.items():
        if names_secret(value):
            raise wrong(
                f"the value of {name} is sent as it stands; ${{secret:NAME}} is not replaced"
            )
    return checks.headers(values)


class Sink(BaseModel):
    """One receiver of all items. Its name is what its place in the stream is kept under: another
    url under the same name goes on where the first one was."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(checks.rule_name)] = Field(
        description="what it is called, and its place in the stream is kept under"
    )
    kind: Literal["webhook", "file"]
    url: Annotated[str, AfterValidator(checks.start_url)] | None = Field(
        default=None, description="webhook: where JSON lines are posted"
    )
    headers: Annotated[Mapping[str, str], Field(max_length=20), AfterValidator(_headers)] = Field(
        default={}, description="webhook: sent along, and stored in clear"
    )
    path: Annotated[str, AfterValidator(_file_path)] | None = Field(
        default=None, description="file: below DIR/<resource> of the workers' --sinks DIR"
    )
    batch: Annotated[int, Field(strict=True, ge=1, le=1_000)] = Field(
        default=100, description="items at a time, at most"
    )

    @model_validator(mode="after")
    def _check_kind(self) -> Sink:
        needed, allowed = _FIELDS[self.kind]
        if getattr(self, needed) is None:
            raise wrong(f"a {self.kind} needs {needed}")
        given = self.model_fields_set - {"name", "kind", "batch", needed, *allowed}
        if given:
            raise wrong(f"a {self.kind} has no {', '.join(sorted(given))}; leave it out")
        return self


_SINKS: Final = TypeAdapter(tuple[Sink, ...])


def read_sinks(data: Any) -> Mapping[str, Sink]:
    """The sinks of a definition's JSON, by name; none where it cannot be read, as when a newer
    program wrote it."""
    try:
        return {sink.name: sink for sink in _SINKS.validate_json(data)}
    except ValidationError:
        return {}
