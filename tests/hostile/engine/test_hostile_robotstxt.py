"""A robots.txt of full size that was made to hurt is read in linear time."""

from __future__ import annotations

import time

import pytest

from crawler.engine.fetch.robotstxt import RobotsTxt
from tests.unit.engine.test_robotstxt import A


@pytest.mark.threat(18)
@pytest.mark.parametrize(
    "line",
    [
        "Disallow: /" + "*a" * 4_000,
        "Disallow: /*" + "a" * 100 + "$",
        "Disallow: /*a*b",
        "Disallow: *",
        "Allow: /%",
        "User-agent: *",
        "Sitemap:",
        "::::",
    ],
)
def test_hostile_files_of_full_size_are_read_in_linear_time(line: str) -> None:
    lines = (f"{line}{n % 10}" for n in range(500 * 1024 // (len(line) + 2)))
    body = "\n".join(["User-agent: *", *lines]).encode()
    url = A + "/" + "a" * 2_000
    started = time.process_time()
    text = RobotsTxt(body, "FooBot")
    for _ in range(5):
        text.allows(url)
    assert time.process_time() - started < 5
