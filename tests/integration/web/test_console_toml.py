"""A definition is kept as JSON and shown as TOML by the console: what is read back is the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from crawler.definition import Definition, from_data, load_text
from tests.browser import open_browser, open_window
from tests.fakes.api import serve_api

EXAMPLES = sorted((Path(__file__).parents[3] / "etc" / "examples").glob("*.toml"))
ODD: dict[str, Any] = {
    "start_urls": ["https://a.example/"],
    "user_agent": 'q"uo\\te/1',
    "headers": {"X-Odd!Name": 'a\\b"c', "X.Dot": "1"},
    "limits": [{"events": 1, "per": 2.5, "burst": 1}],
    "schedule": {"cron": "0 6 * * *", "timezone": "Europe/Berlin"},
    "recrawl": {"min_interval": "1h"},
    "traps": {"session_ids": False},
    "sinks": [{"name": "a", "kind": "webhook", "url": "https://b.example/", "batch": 7}],
    "rules": [
        {
            "name": "n",
            "match": r"re:^https://a\.example/\d+$",
            "next": {"css": "a", "join": True},
            "item": {
                "odd-name": {"re": 'a"\\d ü 😀'},
                "y": {"css": "b", "many": True, "default": []},
            },
        },
        {"name": "m", "each": {"css": ".x"}, "item": {"z": {"xpath": "./a", "type": "int"}}},
    ],
}


@pytest.fixture(scope="module")
def definitions() -> list[Definition]:
    return [*(load_text(path.read_text()) for path in EXAMPLES), from_data(ODD)]


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with (
        serve_api() as cluster,
        open_browser() as browser,
        open_window(browser, cluster.url + "/") as window,
    ):
        yield window.page


async def test_what_is_shown_reads_as_what_is_kept(
    page: Page, definitions: list[Definition]
) -> None:
    assert len(definitions) > 5
    for definition in definitions:
        kept = definition.canonical()
        text: str = await page.evaluate(
            "async (kept) => (await import('/console/x/toml.js')).toToml(kept)", json.loads(kept)
        )
        assert load_text(text).canonical() == kept
