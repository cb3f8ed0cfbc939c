"""A first spider from a real page: it always runs, and finds what it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.app.spiders import load_file
from crawler.engine import fetch
from crawler.engine.extract import Extraction, guess
from crawler.model import Request
from crawler.spider.starter import class_name, starter
from tests.unit.extract.test_extract_starter import LIST, URL


def read(code: str, body: bytes, folder: Path, callback: str | None = None) -> Extraction:
    """What a spider of this code makes of the page."""
    file = folder / "books.py"
    file.write_text(code)
    reader = load_file(str(file), None, ()).open(folder)
    asked = Request(b"0" * 16, URL, "books.example", rule=callback)
    return reader.read(asked, fetch.Page(URL, 200, body, "text/html"))


def test_a_list_page_is_understood(tmp_path: Path) -> None:
    code = starter("books", guess(URL, LIST.encode()))
    found = read(code, LIST.encode(), tmp_path)
    books = [f"https://books.example/book-{n}.html" for n in range(20)]
    assert [link.url for link in found.links] == [*books, "https://books.example/page-2.html"]
    assert [link.to for link in found.links] == ["parse_page"] * 20 + ["parse"]
    (item,) = read(code, LIST.encode(), tmp_path, "parse_page").items
    assert dict(item.fields) == {
        "url": URL,
        "title": 'All "products"',
        "description": "x",
        "price": "£0.77",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(range(256)),
        b'<h1>"""\\\n</h1><article><p>one<p>two</article><a href=x>x</a>',
        LIST.replace("next", "later").encode(),
    ],
)
def test_whatever_the_page_the_spider_runs(body: bytes, tmp_path: Path) -> None:
    code = starter("книги-2", guess(URL, body))
    read(code, body, tmp_path)
    assert max(map(len, code.splitlines())) <= 120


def test_without_a_page_there_is_one_to_begin_with(tmp_path: Path) -> None:
    (item,) = read(starter("books", None), b"<h1>A</h1>", tmp_path).items
    assert item.fields == {"url": URL, "title": "A"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("shop", "Shop"),
        ("news-of.the_day", "NewsOfTheDay"),
        ("9gag", "Spider9gag"),
        ("none", "SpiderNone"),
        ("spider", "SpiderSpider"),
        ("магазин", "Магазин"),
    ],
)
def test_classes_are_named_after_their_spider(name: str, found: str) -> None:
    assert class_name(name) == found
