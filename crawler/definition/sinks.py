"""Where a crawl's items are sent while it goes on: the ``[[sinks]]`` of a definition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from pydantic_core import ValidationError

from crawler.definition import checks
from crawler.definition.checks import shortened, wrong
from crawler.definition.secrets import is_reference

_STEP: Final = re.compile(r"\w[\w.-]{0,99}")
_MAX_STEPS: Final = 5
# What each kind needs, and what it may have besides.
_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "webhook": (("url",), ("headers",)),
    "file": (("path",), ()),
    "s3": (("url", "region", "access_key_id", "secret_access_key"), ()),
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


def _bucket_url(text: str) -> str:
    """Where objects are put, without query: ``https://s3.REGION.amazonaws.com/BUCKET/PREFIX``."""
    url = urlsplit(checks.start_url(text))
    if url.query or url.fragment or not url.path.strip("/"):
        raise wrong(
            "must name a bucket and nothing behind its prefix, like "
            f"https://s3.eu-central-1.amazonaws.com/bucket/prefix (got {shortened(text)})"
        )
    return text


def _key(text: str) -> str:
    """A secret of the workers, by name only."""
    if not is_reference(text):
        raise wrong("must be ${secret:NAME}, a secret of the workers: a key is not stored in clear")
    return text


class Sink(BaseModel):
    """One receiver of all items. Its name is what its place in the stream is kept under: another
    url under the same name goes on where the first one was."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(checks.rule_name)] = Field(
        description="what it is called, and its place in the stream is kept under"
    )
    kind: Literal["webhook", "file", "s3"]
    url: Annotated[str, AfterValidator(checks.start_url)] | None = Field(
        default=None,
        description="webhook: where JSON lines are posted; s3: the bucket's, with a prefix",
    )
    headers: Annotated[Mapping[str, str], Field(max_length=20), AfterValidator(checks.headers)] = (
        Field(default={}, description="webhook: sent along, stored in clear but for ${secret:NAME}")
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] | None = Field(
        default=None, description="s3: the bucket's, like eu-central-1"
    )
    access_key_id: Annotated[str, AfterValidator(checks.credential)] | None = Field(
        default=None, description="s3: whose key it is; may be ${secret:NAME}"
    )
    secret_access_key: Annotated[str, AfterValidator(_key)] | None = Field(
        default=None, description="s3: ${secret:NAME}"
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
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise wrong(f"{self.kind} needs {', '.join(missing)}")
        given = self.model_fields_set - {"name", "kind", "batch", *needed, *allowed}
        if given:
            raise wrong(f"{self.kind} has no {', '.join(sorted(given))}; leave it out")
        if self.kind == "s3":
            _bucket_url(self.url or "")
        return self


_SINKS: Final = TypeAdapter(tuple[Sink, ...])


def read_sinks(data: Any) -> Mapping[str, Sink]:
    """The sinks of a definition's JSON, by name; none where it cannot be read, as when a newer
    program wrote it."""
    try:
        return {sink.name: sink for sink in _SINKS.validate_json(data)}
    except ValidationError:
        return {}
