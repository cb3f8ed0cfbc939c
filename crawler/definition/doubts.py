"""What is allowed in a definition and yet hardly meant: told to people, never refused."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import ada_url

from crawler.definition.patterns import Routes
from crawler.definition.schedule import seconds_of
from crawler.definition.schema import Definition


def doubts(definition: Definition) -> tuple[str, ...]:
    """Sentences, each naming the field; none where all looks meant."""
    return (
        *_strangers(definition),
        *_unused_starts(definition),
        *_unused_sitemaps(definition),
        *_unreachable(definition),
        *_dropped(definition),
        *_idle_intervals(definition),
    )


def _strangers(definition: Definition) -> Iterator[str]:
    """Start URLs whose links to their own host would not be followed."""
    domains = definition.allowed_domains
    for at, url in enumerate(definition.start_urls):
        host = urlsplit(url).hostname or ""
        if domains and not any(_within(host, each) for each in domains):
            yield f"start_urls[{at}]: {host} is not in allowed_domains, links to it are left alone"


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _unused_starts(definition: Definition) -> Iterator[str]:
    """Start URLs that end the crawl, because no rule says what to do with them."""
    if not definition.rules:
        return
    routes = Routes(definition.rules)
    for at, url in enumerate(definition.start_urls):
        if routes.take(ada_url.URL(url).href, None) is None:
            yield f"start_urls[{at}]: no rule matches {url}: nothing is taken from it"


def _unused_sitemaps(definition: Definition) -> Iterator[str]:
    """Sitemaps of which nothing is taken, because pages come to rules by their match only."""
    listed = definition.sitemaps or definition.sitemaps_from_robots
    if listed and definition.rules and not any(rule.match for rule in definition.rules):
        yield "sitemaps: no rule has a match: none of the pages that they list is taken"


def _unreachable(definition: Definition) -> Iterator[str]:
    """Rules that get no page: without a match, and nobody sends them any."""
    targets = {link.to for rule in definition.rules for link in rule.follow}
    for at, rule in enumerate(definition.rules):
        if rule.match is None and rule.name not in targets:
            yield f"rules[{at}]: no follow leads to {rule.name} and it has no match: it is not used"


def _dropped(definition: Definition) -> Iterator[str]:
    """Parameters that a rule sets, and that are taken from links before these are followed."""
    globs = [name.replace("[", "[[]") for name in definition.drop_query]
    for at, rule in enumerate(definition.rules):
        names = [("next.query", name) for name in (rule.next.query or ())] if rule.next else []
        for which, link in enumerate(rule.follow):
            query = (link.url or "").partition("?")[2]
            names += [(f"follow[{which}].url", part.split("=")[0]) for part in query.split("&")]
        for where, name in names:
            if any(fnmatchcase(name, glob) for glob in globs):
                yield f"rules[{at}].{where}: sets {name}, which drop_query takes from links"


def _idle_intervals(definition: Definition) -> Iterator[str]:
    """Intervals that are over whenever the next run begins."""
    schedule, recrawl = definition.schedule, definition.recrawl
    if schedule is None or schedule.every is None or not recrawl.min_interval:
        return
    if recrawl.max_s <= seconds_of(schedule.every):
        yield (
            f"recrawl.max_interval: no longer than every {schedule.every} of the schedule: each "
            "run asks every page"
        )
