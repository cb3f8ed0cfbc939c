"""How a crawl logs in to a site: a form that is sent before its first page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from crawler.definition import checks
from crawler.definition.checks import compiles
from crawler.definition.selectors import compile_css


class Login(BaseModel):
    """Where to log in, as whom, and how to tell that one is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, AfterValidator(checks.start_url)] = Field(
        description="the page with the form, on a host of start_urls or allowed_domains"
    )
    form: Annotated[
        Mapping[
            Annotated[str, Field(min_length=1, max_length=200)],
            Annotated[str, Field(max_length=8_192), AfterValidator(checks.form_secret)],
        ],
        Field(min_length=1, max_length=50),
    ] = Field(
        description="fields to fill in, stored in clear but for ${secret:NAME}; hidden ones are "
        "sent as the page has them"
    )
    check: Annotated[str, AfterValidator(compiles(compile_css))] | None = Field(
        default=None, description="CSS of what stands on pages only while one is logged in"
    )
