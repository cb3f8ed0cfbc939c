"""Definitions by file or URL, their names, and a first guess at one."""

from __future__ import annotations

import pytest

from crawler.cli.source import name_for
from crawler.cli.starter import common_shapes, shape_of, starter
from crawler.cli.terminal import difference, duration
from crawler.cli.top import Rates
from crawler.definition import load_text
from crawler.errors import InvalidInput


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("etc/shop.toml", "shop"),
        ("my shop.v2.json", "my-shop.v2"),
        ("https://shop.example/a/b?c", "shop.example"),
        ("http://me:secret@127.0.0.1:8000/", "127.0.0.1-8000"),
        ("HTTPS://bücher.example/", "bücher.example"),
        ("_x.toml", "x"),
    ],
)
def test_names_come_from_the_source(source: str, name: str) -> None:
    assert name_for(source, None) == name
    assert name_for(source, "mine") == "mine"


@pytest.mark.parametrize("source", ["-", "election.toml", "---.toml"])
def test_some_sources_need_a_name(source: str) -> None:
    with pytest.raises(InvalidInput, match="--name"):
        name_for(source, None)


def test_shapes_of_paths() -> None:
    assert shape_of("/product/17") == "/product/*"
    assert shape_of("/2024/05/a-long-headline-here") == "/*/*/*"
    assert shape_of("/about-us/team") == "/about-us/team"
    links = ["/p/1", "p/2", "/p/3", "https://other.example/p/4", "/about", "http://[bad", "#x"]
    assert common_shapes("https://shop.example/", links) == ["/p/*"]


def test_a_starter_is_a_valid_definition_with_rules() -> None:
    links = "".join(f'<a href="/product/{n}">p</a>' for n in range(5))
    html = (
        '<h1>x</h1><meta name=description><b class="sale-price">1</b><a rel=next href=?2>' + links
    )
    text = starter("https://shop.example/list", html)
    definition = load_text(text)
    listing, detail = definition.rules
    assert listing.match == "https://shop.example/list"
    assert listing.next is not None
    assert detail.match == "https://shop.example/product/*"
    assert set(detail.item) == {"title", "description", "price"}


@pytest.mark.parametrize("html", ["", "no links", "<a href='/x'>", "<a <<< \x00 href"])
def test_a_starter_is_valid_for_any_page(html: str) -> None:
    url = "https://shop.example/a?b='\"#c"
    assert load_text(starter(url, html)).rules == ()


def test_the_difference_shows_what_changes() -> None:
    lines = difference({"a": 1, "b": 2}, {"a": 1, "b": 3})
    assert '-  "b": 2' in lines
    assert '+  "b": 3' in lines
    assert difference({"a": 1}, {"a": 1}) == []
    assert all(not line.startswith("-") for line in difference(None, {"a": 1}))


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 75, 3700, 90000)] == ["0s", "1m15s", "1h01m", "1d01h"]


def test_rates_look_back_ten_seconds() -> None:
    rates = Rates()
    assert rates.note("a", 0.0, 100) == 0.0
    assert rates.note("a", 10.0, 200) == 10.0
    assert rates.note("a", 20.0, 200) == 0.0
    assert rates.note("a", 21.0, 5) == 0.0, "a new run"
