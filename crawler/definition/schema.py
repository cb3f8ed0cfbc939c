"""What a crawl's definition may say, as frozen models: the law of DESIGN §4.

Settings carry Scrapy's names and, unless politeness or safety asks for less, its values. What its
rules may say stands in `rules`. Build these through `load_text`, `from_json`,
`from_data` or `for_url`, which turn every refusal into `InvalidInput` with field and line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

import ada_url
from pydantic import AfterValidator, Field, model_validator
from pydantic_core import InitErrorDetails, ValidationError

from crawler.definition import checks
from crawler.definition.checks import wrong
from crawler.definition.rules import Flag, Model, Rule, Value

DEFAULT_USER_AGENT: Final = "crawler-cluster/0.1"
# Scrapy's names for our limits.
ALIASES: Final[Mapping[str, str]] = {
    "closespider_pagecount": "max_pages",
    "closespider_itemcount": "max_items",
    "closespider_timeout": "max_seconds",
}
_FOREVER_S: Final = 10 * 365 * 86_400

Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000_000)]
StatusCode = Annotated[int, Field(strict=True, ge=100, le=599)]


class Definition(Model):
    """A whole crawl. Without rules every page yields url, title, description, text and JSON-LD,
    and every link in scope is followed."""

    start_urls: Annotated[
        tuple[Annotated[str, AfterValidator(checks.start_url)], ...],
        Field(min_length=1, max_length=10_000),
    ] = Field(description="where the crawl begins: absolute http or https URLs")
    allowed_domains: Annotated[
        tuple[Annotated[str, AfterValidator(checks.domain)], ...], Field(max_length=10_000)
    ] = Field(default=(), description="with their subdomains; those of start_urls unless said")
    depth_limit: Annotated[int, Field(strict=True, ge=0, le=100_000)] = Field(
        default=0, description="links away from a start URL; 0: no limit"
    )
    concurrent_requests: Annotated[int, Field(strict=True, ge=1, le=1_024)] = 16
    concurrent_requests_per_domain: Annotated[int, Field(strict=True, ge=1, le=256)] = 1
    download_delay: Annotated[float, Field(strict=True, ge=0, le=86_400, allow_inf_nan=False)] = (
        Field(default=1.0, description="seconds between two requests to a host")
    )
    robotstxt_obey: Flag = True
    user_agent: Annotated[str, Field(max_length=256), AfterValidator(checks.user_agent)] = (
        DEFAULT_USER_AGENT
    )
    headers: Annotated[Mapping[str, str], Field(max_length=100), AfterValidator(checks.headers)] = (
        Field(default={}, description="sent with every request, and stored in clear")
    )
    cookies: Annotated[Mapping[str, str], Field(max_length=100), AfterValidator(checks.cookies)] = (
        Field(default={}, description="sent with every request in scope, and stored in clear")
    )
    retry_times: Annotated[int, Field(strict=True, ge=0, le=100)] = Field(
        default=2, description="how often a page is tried again"
    )
    retry_http_codes: Annotated[tuple[StatusCode, ...], Field(max_length=100)] = (
        500,
        502,
        503,
        504,
        522,
        524,
        408,
        429,
    )
    download_timeout: Annotated[
        float, Field(strict=True, ge=0.1, le=3_600, allow_inf_nan=False)
    ] = Field(
        default=180.0,
        description="seconds for one request in all, from connecting to the last byte",
    )
    download_maxsize: Annotated[int, Field(strict=True, ge=1_024, le=104_857_600)] = Field(
        default=10_485_760, description="bytes of a body after decompression"
    )
    max_pages: Count = Field(default=0, description="end after this many pages; 0: no limit")
    max_items: Count = Field(default=0, description="end after this many items; 0: no limit")
    max_seconds: Annotated[float, Field(strict=True, ge=0, le=_FOREVER_S, allow_inf_nan=False)] = (
        Field(0.0, description="end after this many seconds of crawling; 0: no limit")
    )
    partitions: Annotated[int, Field(strict=True, ge=1, le=32)] = Field(
        default=1,
        description="how many workers crawl it at once, each its own share of the hosts; kept for "
        "the resource's life",
    )
    rules: Annotated[tuple[Rule, ...], Field(max_length=200)] = ()

    @model_validator(mode="before")
    @classmethod
    def _take_aliases(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        for alias, name in ALIASES.items():
            if alias in data and name in data:
                reason = f"is another name of {name}, which is given too; keep one of them"
                problem = InitErrorDetails(type=wrong(reason), loc=(alias,), input=None)
                raise ValidationError.from_exception_data("Definition", [problem])
        return {ALIASES.get(key, key) if isinstance(key, str) else key: data[key] for key in data}

    @model_validator(mode="after")
    def _check_references(self) -> Definition:
        problems = [*self._doubled_names(), *self._dead_references()]
        if problems:
            raise ValidationError.from_exception_data("Definition", problems)
        return self

    def _doubled_names(self) -> list[InitErrorDetails]:
        first: dict[str, int] = {}
        return [
            _problem(f"rules[{first[rule.name]}] has this name already", at, "name")
            for at, rule in enumerate(self.rules)
            if rule.name is not None and first.setdefault(rule.name, at) != at
        ]

    def _dead_references(self) -> list[InitErrorDetails]:
        names = {rule.name for rule in self.rules}
        carried = {name for rule in self.rules for link in rule.follow for name in link.carry}
        problems = []
        for at, rule in enumerate(self.rules):
            wanted: list[tuple[tuple[str | int, ...], Value]] = [
                (("item", name), entry) for name, entry in rule.item.items()
            ]
            for which, link in enumerate(rule.follow):
                here = ("follow", which)
                if link.to is not None and link.to not in names:
                    reason = _unknown("rule", link.to, names)
                    problems.append(_problem(reason, at, *here, "to"))
                wanted += [((*here, "carry", name), entry) for name, entry in link.carry.items()]
            problems += [
                _problem(_unknown("carried value", entry.carry, carried), at, *path, "carry")
                for path, entry in wanted
                if entry.carry is not None and entry.carry not in carried
            ]
        return problems

    def hosts(self) -> tuple[str, ...]:
        """Hosts of the start URLs, once each, in order: ``host``, or ``host:port`` where the port
        is not the scheme's own."""
        return tuple(dict.fromkeys(ada_url.URL(url).host for url in self.start_urls))

    def canonical(self) -> str:
        """Canonical JSON: sorted, compact, only what differs from the defaults. Equal definitions
        have equal texts. The fields of items alone keep their order, which is that of columns."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        ordered = _sorted(data)
        for rule, given in zip(ordered.get("rules", ()), data.get("rules", ()), strict=True):
            if "item" in given:
                rule["item"] = {name: _sorted(entry) for name, entry in given["item"].items()}
        return json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list | tuple) else value


def _problem(reason: str, rule: int, *path: str | int) -> InitErrorDetails:
    return InitErrorDetails(type=wrong(reason), loc=("rules", rule, *path), input=None)


def _unknown(noun: str, name: str, known: set[str | None] | set[str]) -> str:
    names = ", ".join(sorted(entry for entry in known if entry)[:20])
    return f"there is no {noun} {name!r}{checks.suggestion(name, known)}; there is: {names or '-'}"
