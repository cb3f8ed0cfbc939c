"""How differences, durations and rates are told."""

from __future__ import annotations

import json

import pytest

from crawler.cli import terminal
from crawler.cli.run import told_hosts
from crawler.cli.terminal import difference, duration
from crawler.cli.top import Rates
from crawler.model import HostWait


def test_the_difference_shows_what_changes() -> None:
    lines = difference({"a": 1, "b": 2}, {"a": 1, "b": 3})
    assert '-  "b": 2' in lines
    assert '+  "b": 3' in lines
    assert difference({"a": 1}, {"a": 1}) == []
    assert difference({"a": 1, "b": 2}, {"b": 2, "a": 1})  # the order of fields is a change too
    assert all(not line.startswith("-") for line in difference(None, {"a": 1}))


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 75, 3700, 90000)] == ["0s", "1m15s", "1h01m", "1d01h"]


def test_rates_look_back_ten_seconds() -> None:
    rates = Rates()
    assert rates.note("a", 0.0, 100) == 0.0
    assert rates.note("a", 10.0, 200) == 10.0
    assert rates.note("a", 20.0, 200) == 0.0
    assert rates.note("a", 21.0, 5) == 0.0, "a new run"


HOSTILE = "a\x1b[2J\x9b31m\r\x07\u202e\u2028b"


def test_what_pages_say_does_not_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.safe(HOSTILE).isprintable()
    terminal.print_rows(("title",), [(HOSTILE,)])
    terminal.print_json({"title": HOSTILE, "word": "grün"})
    terminal.print_difference([f"+ {HOSTILE}"])
    terminal.warn(HOSTILE, [HOSTILE])
    told = capsys.readouterr()
    for text in (told.out, told.err):
        assert text.replace("\n", "").isprintable()
    document = told.out[told.out.index("{") : told.out.index("}") + 1]
    assert json.loads(document) == {"title": HOSTILE, "word": "grün"}
    assert "grün" in document


def test_a_running_crawl_tells_why_each_host_waits() -> None:
    hosts = (
        HostWait("shop.example", 1200, "next in 0.7 s, because Crawl-delay"),
        HostWait("b\x1b.example", 1, "waiting"),
        HostWait("quick.example", 3, ""),
    )
    assert told_hosts(hosts) == [
        "shop.example: next in 0.7 s, because Crawl-delay (1,200 at hand)",
        "b\N{REPLACEMENT CHARACTER}.example: waiting (1 at hand)",
    ]


@pytest.mark.parametrize(
    ("pending", "pages_per_s", "said"),
    [(600, 2.0, "about 5m00s left"), (0, 2.0, ""), (600, 0.0, "")],
)
def test_the_time_left_is_said_where_there_is_a_pace(
    pending: int, pages_per_s: float, said: str
) -> None:
    assert terminal.time_left(pending, pages_per_s) == said
