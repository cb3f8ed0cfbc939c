"""How a definition asks for access and for how much of it: credentials by domain, and limits."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from crawler.definition import checks
from crawler.definition.checks import wrong

_MOST_INTERVAL_S: Final = 3_600.0  # what the store remembers of a host when it changes hands


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(_Table):
    """A token bucket per host: ``events`` requests per ``per`` seconds, ``burst`` of them at once
    after a rest."""

    events: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=1, description="requests"
    )
    per: Annotated[float, Field(strict=True, ge=0.001, le=86_400, allow_inf_nan=False)] = Field(
        description="seconds in which so many may be sent"
    )
    burst: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=1, description="requests that may follow at once on a time without any"
    )

    @model_validator(mode="after")
    def _check_interval(self) -> Limit:
        if self.per / self.events > _MOST_INTERVAL_S:
            raise wrong("is less than one request an hour; give per at most 3600 s for each event")
        return self


class Basic(_Table):
    """User and password of HTTP's Basic scheme (RFC 7617)."""

    user: Annotated[str, Field(max_length=1_000), AfterValidator(checks.user_name)]
    password: Annotated[str, Field(max_length=8_192), AfterValidator(checks.credential)]


class Auth(_Table):
    """What is sent as Authorization to one domain and its subdomains, and nowhere else."""

    domain: Annotated[str, AfterValidator(checks.domain)] = Field(
        description="a host name, with its subdomains"
    )
    basic: Basic | None = Field(default=None, description="user and password")
    bearer: Annotated[str, Field(max_length=8_192), AfterValidator(checks.credential)] | None = (
        Field(default=None, description="a token (RFC 6750)")
    )

    @model_validator(mode="after")
    def _check_scheme(self) -> Auth:
        if (self.basic is None) == (self.bearer is None):
            raise wrong("needs either basic = { user, password } or bearer")
        return self
