"""What a crawl's definition may say, as frozen models: the law of DESIGN §4.

Settings carry Scrapy's names and, unless politeness or safety asks for less, its values. What its
rules may say stands in `rules`. Build these through `load_text`, `from_json`,
`from_data` or `for_url`, which turn every refusal into `InvalidInput` with field and line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal

import ada_url
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import InitErrorDetails, ValidationError

from crawler import __version__
from crawler.definition import checks, keeping
from crawler.definition.access import Auth, Limit
from crawler.definition.checks import wrong
from crawler.definition.login import Login
from crawler.definition.recrawl import Recrawl
from crawler.definition.rules import Flag, Model, Rule, Value
from crawler.definition.schedule import Schedule, as_schedule
from crawler.definition.sinks import Sink
from crawler.definition.tasks import Task
from crawler.definition.traps import Traps, as_traps

DEFAULT_USER_AGENT: Final = "crawler-cluster/0.1"
# Scrapy's names for our limits.
ALIASES: Final[Mapping[str, str]] = {
    "closespider_pagecount": "max_pages",
    "closespider_itemcount": "max_items",
    "closespider_timeout": "max_seconds",
}
_FOREVER_S: Final = 10 * 365 * 86_400
# What a page yields does not depend on them.
_WITHOUT_YIELD: Final = frozenset(
    {
        "autothrottle_enabled",
        "autothrottle_max_delay",
        "autothrottle_start_delay",
        "autothrottle_target_concurrency",
        "concurrent_requests",
        "concurrent_requests_per_domain",
        "concurrent_requests_per_ip",
        "connect_timeout",
        "download_delay",
        "download_timeout",
        "first_byte_timeout",
        "keep_events",
        "keep_pages",
        "keep_runs",
        "limits",
        "max_items",
        "max_pages",
        "max_seconds",
        "randomize_download_delay",
        "recrawl",
        "retry_http_codes",
        "retry_times",
        "schedule",
        "sinks",
        "task",
    }
)

Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000_000)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=86_400, allow_inf_nan=False)]
Timeout = Annotated[float, Field(strict=True, ge=0, le=3_600, allow_inf_nan=False)]
UserAgent = Annotated[str, Field(max_length=256), AfterValidator(checks.user_agent)]
StatusCode = Annotated[int, Field(strict=True, ge=100, le=599)]
SpiderName = Annotated[str, AfterValidator(checks.rule_name)]  # names of spiders are like those


class Definition(Model):
    """A whole crawl. Without rules every page yields url, title, description, text and JSON-LD,
    and every link in scope is followed."""

    start_urls: Annotated[
        tuple[Annotated[str, AfterValidator(checks.start_url)], ...],
        Field(max_length=10_000),
    ] = Field(
        default=(),
        description="where the crawl begins: absolute http or https URLs; this or sitemaps",
    )
    sitemaps: Annotated[
        tuple[Annotated[str, AfterValidator(checks.start_url)], ...], Field(max_length=1_000)
    ] = Field(
        default=(),
        description="sitemaps, their indexes, feeds, or robots.txt files that name some; all that "
        "they list is crawled like start URLs",
    )
    sitemaps_from_robots: Flag = Field(
        default=False, description="also those that the robots.txt of start_urls name"
    )
    allowed_domains: Annotated[
        tuple[Annotated[str, AfterValidator(checks.domain)], ...], Field(max_length=10_000)
    ] = Field(
        default=(),
        description="with their subdomains; those of start_urls and sitemaps unless said. At "
        "ports other than the scheme's own only where a start URL or sitemap has them",
    )
    depth_limit: Annotated[int, Field(strict=True, ge=0, le=100_000)] = Field(
        default=0, description="links away from a start URL; 0: no limit"
    )
    concurrent_requests: Annotated[int, Field(strict=True, ge=1, le=1_024)] = 16
    concurrent_requests_per_domain: Annotated[int, Field(strict=True, ge=1, le=256)] = 1
    download_delay: Annotated[float, Field(strict=True, ge=0, le=86_400, allow_inf_nan=False)] = (
        Field(default=1.0, description="seconds between two requests to a host")
    )
    randomize_download_delay: Flag = Field(
        default=False,
        description="lengthen each delay by a random part of its half, so that it is never shorter",
    )
    limits: Annotated[tuple[Limit, ...], Field(max_length=10)] = Field(
        default=(), description="token buckets for each host, all of which must pass"
    )
    concurrent_requests_per_ip: Annotated[int, Field(strict=True, ge=0, le=256)] = Field(
        default=0, description="of all hosts at one address, within one process; 0: no limit"
    )
    autothrottle_enabled: Flag = Field(
        default=False, description="let the delay follow how long a host takes to answer"
    )
    autothrottle_start_delay: Seconds = Field(
        default=5.0, description="the delay until a host has answered"
    )
    autothrottle_max_delay: Seconds = Field(
        default=60.0, description="no latency makes it longer; download_delay and Crawl-delay may"
    )
    autothrottle_target_concurrency: Annotated[
        float, Field(strict=True, ge=0.01, le=256, allow_inf_nan=False)
    ] = Field(default=1.0, description="requests that a host is to have at a time, on average")
    robotstxt_obey: Flag = True
    nofollow: Literal["obey", "ignore"] = Field(
        default="obey",
        description="of links marked so, and of pages whose meta robots or X-Robots-Tag say so",
    )
    canonical_links: Literal["record", "follow"] = Field(
        default="record",
        description="what a page's rel=canonical to another URL is: told in its reason, or also a "
        "link for the same rule",
    )
    sort_query: Flag = Field(
        default=False, description="links whose parameters differ in order are the same"
    )
    drop_query: Annotated[
        tuple[Annotated[str, AfterValidator(checks.query_name)], ...], Field(max_length=200)
    ] = Field(
        default=(),
        description="parameters taken from links: names, with * for any characters; the word "
        "tracking stands for utm_*, fbclid, gclid and the like",
    )
    traps: Annotated[Traps, BeforeValidator(as_traps, json_schema_input_type=bool | Traps)] = Field(
        default=Traps(), description="false: none is looked for"
    )
    user_agent: UserAgent = DEFAULT_USER_AGENT
    user_agents: Annotated[
        tuple[UserAgent, ...], Field(max_length=1_000), AfterValidator(checks.different)
    ] = Field(
        default=(),
        description="take turns instead of user_agent; robots.txt is obeyed as the first",
    )
    user_agent_rotation: Literal["host", "request"] = Field(
        default="host", description="a host always sees the same one, or every request the next"
    )
    headers: Annotated[Mapping[str, str], Field(max_length=100), AfterValidator(checks.headers)] = (
        Field(
            default={},
            description="sent with every request, and stored in clear but for ${secret:NAME}",
        )
    )
    cookies: Annotated[Mapping[str, str], Field(max_length=100), AfterValidator(checks.cookies)] = (
        Field(
            default={},
            description="sent to the hosts of start_urls, stored in clear but for ${secret:NAME}",
        )
    )
    cookies_enabled: Flag | None = Field(
        default=None,
        description="keep the cookies that servers set; unless said, where cookies are given",
    )
    auth: Annotated[tuple[Auth, ...], Field(max_length=100)] = Field(
        default=(), description="credentials by domain, best as ${secret:NAME}"
    )
    login: Login | None = Field(
        default=None, description="a form that is sent before the first page, and keeps cookies"
    )
    proxy_pool: Annotated[str, AfterValidator(checks.pool_name)] | None = Field(
        default=None, description="a pool of proxies in the settings of the workers"
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
    connect_timeout: Timeout = Field(
        default=30.0, description="of these for the name and the connection; 0: no such limit"
    )
    first_byte_timeout: Timeout = Field(
        default=0.0,
        description="of these until an answer begins, connecting included; 0: no such limit",
    )
    download_maxsize: Annotated[int, Field(strict=True, ge=1_024, le=104_857_600)] = Field(
        default=10_485_760, description="bytes of a body after decompression"
    )
    store_body: Flag = Field(
        default=False,
        description="keep the text of every page, up to 2 MiB, as an item of its own: url, "
        "content_type, size_bytes, source, note",
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
    schedule: (
        Annotated[Schedule, BeforeValidator(as_schedule, json_schema_input_type=str | Schedule)]
        | None
    ) = Field(
        default=None,
        description='when it is crawled again: a cron line, "every 6h", or a table with more',
    )
    keep_runs: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(
        default=keeping.DEFAULT.runs, description="runs whose items are kept; older ones go"
    )
    keep_pages: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(
        default=keeping.DEFAULT.pages,
        description="runs of which every page is kept; of older ones only the items are",
    )
    keep_events: Annotated[int, Field(strict=True, ge=1, le=100_000)] = Field(
        default=keeping.DEFAULT.events, description="events that are kept; older ones go"
    )
    recrawl: Recrawl = Field(
        default=Recrawl(), description="what a run takes over from the run before it"
    )
    rules: Annotated[tuple[Rule, ...], Field(max_length=200)] = ()
    spider: SpiderName | None = Field(
        default=None,
        description="Python code instead of rules, by its name among what is installed on the "
        "workers; what is said here goes before what the spider says itself",
    )
    sinks: Annotated[tuple[Sink, ...], Field(max_length=8)] = Field(
        default=(), description="where items are sent, each of them to every one"
    )
    task: Task | None = Field(
        default=None, description="what a task is called; the service Tasks writes it"
    )

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
    def _check_beginning(self) -> Definition:
        if not self.start_urls and not self.sitemaps and self.spider is None:
            reason = "is missing: write where the crawl begins, here or in sitemaps"
            problem = InitErrorDetails(type=wrong(reason), loc=("start_urls",), input=None)
            raise ValidationError.from_exception_data("Definition", [problem])
        if self.sitemaps_from_robots and not self.start_urls and self.spider is None:
            reason = "needs start_urls; in sitemaps, name https://host/robots.txt itself"
            problem = InitErrorDetails(
                type=wrong(reason), loc=("sitemaps_from_robots",), input=None
            )
            raise ValidationError.from_exception_data("Definition", [problem])
        return self

    @model_validator(mode="after")
    def _check_references(self) -> Definition:
        problems = [
            *self._doubled_names(),
            *self._doubled_sinks(),
            *self._dead_references(),
            *self._doubled_settings(),
        ]
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

    def _doubled_settings(self) -> list[InitErrorDetails]:
        problems: list[tuple[str, tuple[str | int, ...]]] = []
        if self.user_agents and self.user_agent != DEFAULT_USER_AGENT:
            problems.append(("stands beside user_agent; keep one of them", ("user_agents",)))
        if self.login is not None and self.cookies_enabled is False:
            problems.append(
                ("false keeps no session; leave it out, or login", ("cookies_enabled",))
            )
        if self.spider is not None and self.rules:
            problems.append(("stands beside rules; keep one of them", ("spider",)))
        if self.proxy_pool is not None:
            problems += [
                (
                    "browser loads scripts and data past the proxy_pool; keep one of them",
                    ("rules", at, "fetcher"),
                )
                for at, rule in enumerate(self.rules)
                if rule.fetcher == "browser"
            ]
        first: dict[str, int] = {}
        for at, entry in enumerate(self.auth):
            if first.setdefault(entry.domain, at) != at:
                reason = f"auth[{first[entry.domain]}] is for this domain already"
                problems.append((reason, ("auth", at, "domain")))
        return [
            InitErrorDetails(type=wrong(reason), loc=path, input=None) for reason, path in problems
        ]

    def _doubled_sinks(self) -> list[InitErrorDetails]:
        first: dict[str, int] = {}
        return [
            InitErrorDetails(
                type=wrong(f"sinks[{first[sink.name]}] has this name already"),
                loc=("sinks", at, "name"),
                input=None,
            )
            for at, sink in enumerate(self.sinks)
            if first.setdefault(sink.name, at) != at
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
        """Hosts of the start URLs and sitemaps, once each, in order: ``host``, or ``host:port``
        where the port is not the scheme's own."""
        urls = (*self.start_urls, *self.sitemaps)
        return tuple(dict.fromkeys(ada_url.URL(url).host for url in urls))

    def canonical(self) -> str:
        """Canonical JSON: sorted, compact, only what differs from the defaults. Equal definitions
        have equal texts. The fields of items alone keep their order, which is that of columns.
        With a spider a default that is written out counts: it goes before what the spider says."""
        written = self.spider is not None
        data = self.model_dump(mode="json", exclude_unset=written, exclude_defaults=not written)
        ordered = _sorted(data)
        for rule, given in zip(ordered.get("rules", ()), data.get("rules", ()), strict=True):
            if "item" in given:
                rule["item"] = {name: _sorted(entry) for name, entry in given["item"].items()}
        return json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))

    def recipe(self) -> str:
        """32 characters over all that decides which pages there are and what they yield, and over
        who is sent it: runs of equal recipes may build on each other. "": this one on none.

        Another version of this program may read pages otherwise, so it has other recipes; and of
        a spider nobody knows here whether its code is still the same.
        """
        if not self.recrawl.conditional or self.spider is not None:
            return ""
        data = self.model_dump(mode="json", exclude_defaults=True, exclude=set(_WITHOUT_YIELD))
        sinks = sorted(sink.name for sink in self.sinks)
        text = json.dumps([__version__, sinks, data], separators=(",", ":"))
        return blake2b(text.encode(), digest_size=16).hexdigest()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list | tuple) else value


def _problem(reason: str, rule: int, *path: str | int) -> InitErrorDetails:
    return InitErrorDetails(type=wrong(reason), loc=("rules", rule, *path), input=None)


def _unknown(noun: str, name: str, known: set[str | None] | set[str]) -> str:
    names = ", ".join(sorted(entry for entry in known if entry)[:20])
    return f"there is no {noun} {name!r}{checks.suggestion(name, known)}; there is: {names or '-'}"
