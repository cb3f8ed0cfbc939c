"""Definitions by file or URL, and their names."""

from __future__ import annotations

import pytest

from crawler.app.source import name_for
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
