"""`crawler try`: field by field and match by match, what a rule makes of one page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crawler.cli.main import run_command

API = {"data": [{"id": 1, "name": "One"}, {"id": 2}], "meta": {"next": "c2"}}
RULES = """
start_urls = ["{origin}/items"]
[[rules]]
name = "items"
kind = "json"
match = "{origin}/items*"
each = "data[]"
next = {{ query = {{ cursor = "meta.next" }} }}
follow = [{{ url = "/search", form = {{ q = "{{name}}" }}, to = "news" }}]
item.name = {{ json = "name", required = true }}
[[rules]]
name = "news"
structured = true
next = {{ css = "a.next", join = true }}
follow = [{{ css = "a.best", to = "ranked", carry = {{ rank = "h1", shelf = "h2" }} }}]
item.title = "h1"
[[rules]]
name = "ranked"
item.rank = {{ carry = "rank", type = "int" }}
item.shelf = {{ carry = "shelf" }}
"""
NEWS = "<meta property=og:title content=News><h1>News</h1><a class=next href=/news2>more</a>"


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, body = {
            "/items": ("application/json", json.dumps(API)),
            "/news": ("text/html", NEWS),
        }.get(self.path, ("", ""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def origin() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def tried(
    origin: str, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> str:
    file = tmp_path / "rules.toml"
    file.write_text(RULES.format(origin=origin))
    assert run_command(["try", str(file), origin + path, *options]) == 0
    return capsys.readouterr().out


def test_each_match_is_shown_by_itself(
    origin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tried(origin, "/items", tmp_path, capsys)
    assert "rule items: 2 items, 2 links" in out
    page, first, second = out.partition("→")[0].replace("match 2:", "match 1:").split("match 1:")
    assert "query: cursor json: meta.next" in page
    assert "2 matches" in page
    assert "One" in first
    assert "required, but not found" in second
    assert f"→ {origin}/items?cursor=c2  to items" in out
    assert f"→ POST {origin}/search  q=One  to news" in out
    assert "! items.follow[0]: no link: {name} has no value to fill in (match 2)" in out


def test_json_tells_matches_requests_and_what_goes_on(
    origin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = json.loads(tried(origin, "/items", tmp_path, capsys, "--json"))
    assert {each["match"] for each in shown["fields"]} == {None, 1, 2}
    assert [(link["method"], link["body"]) for link in shown["links"]] == [
        ("GET", None),
        ("POST", "q=One"),
    ]
    shown = json.loads(tried(origin, "/news", tmp_path, capsys, "--json", "--rule", "news"))
    assert shown["items"] == []
    assert shown["unfinished"] == {
        "title": "News",
        "structured": {"opengraph": {"og:title": "News"}},
    }
    out = tried(origin, "/news", tmp_path, capsys, "--rule", "news")
    assert "the item goes on on the next page" in out
    assert "structured = true" in out


def test_what_a_link_would_have_carried_can_be_given(
    origin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--rule=ranked", "--carry=rank=3", "--carry=shelf=top left", "--json")
    (item,) = json.loads(tried(origin, "/news", tmp_path, capsys, *options))["items"]
    assert item["fields"] == {"rank": 3, "shelf": "top left"}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--carry=rank", "--carry: write NAME=VALUE, like category=lamps (got 'rank')"),
        ("--carry=a b=1", "--carry: write NAME=VALUE, like category=lamps (got 'a b=1')"),
        ("--rule=rank", "rule: there is items, news, ranked (got 'rank')"),
    ],
)
def test_what_is_not_there_is_told(
    origin: str, option: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES.format(origin=origin))
    assert run_command(["try", str(file), f"{origin}/news", option]) == 2
    assert capsys.readouterr().err == f"crawler: {said}\n"


def test_a_page_alone_is_read_without_rules(
    origin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["try", f"{origin}/news"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("rule page: 1 items, 1 links\n")
    assert f"→ {origin}/news2" in shown
    file = tmp_path / "rules.toml"
    file.write_text(RULES.format(origin=origin))
    assert run_command(["try", str(file)]) == 2
    said = f"crawler: URL: which page? crawler try {file} URL\n"
    assert capsys.readouterr().err == said
