"""What is allowed and hardly meant is told; what is meant is not."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.definition import doubts, for_url, from_data, load_text
from tests.unit.definition.test_definition_model import SHOP

START = "https://shop.example/"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"allowed_domains": ["other.example"]}, "start_urls[0]: shop.example is not in"),
        (
            {
                "rules": [{"match": "**"}],
                "schedule": "every 1d",
                "recrawl": {"min_interval": "1h", "max_interval": "1d"},
            },
            "recrawl.max_interval: no longer than every 1d of the schedule",
        ),
        ({"rules": [{"match": "https://shop.example/p/*"}]}, "start_urls[0]: no rule matches"),
        (
            {"rules": [{"match": "**"}, {"name": "product"}]},
            "rules[1]: no follow leads to product and it has no match",
        ),
        (
            {
                "start_urls": [],
                "sitemaps": [START],
                "rules": [{"name": "a", "follow": [{"css": "a", "to": "a"}]}],
            },
            "sitemaps: no rule has a match",
        ),
        (
            {
                "drop_query": ["tracking", "p[*"],
                "rules": [{"match": "**", "next": {"query": {"p[x]": "+1", "page": "+1"}}}],
            },
            "rules[0].next.query: sets p[x], which drop_query takes from links",
        ),
        (
            {
                "drop_query": ["ref"],
                "rules": [
                    {
                        "match": "**",
                        "kind": "json",
                        "follow": [{"url": "/items?id={id}&ref=1"}, {"url": "/ref/{id}"}],
                    }
                ],
            },
            "rules[0].follow[0].url: sets ref, which drop_query takes from links",
        ),
    ],
)
def test_doubts_name_the_field(more: dict[str, Any], said: str) -> None:
    (doubt,) = doubts(from_data({"start_urls": [START], **more}))
    assert doubt.startswith(said)


@pytest.mark.parametrize(
    "definition",
    [
        load_text(SHOP),
        for_url(START),
        from_data({"start_urls": [START], "allowed_domains": ["example"]}),
        from_data({"start_urls": ["http://h:8080/"], "allowed_domains": ["h"]}),
    ],
)
def test_what_is_meant_raises_none(definition: Any) -> None:
    assert doubts(definition) == ()
