"""Real documentation sets, crawled completely: the same pages and fields as a script by hand."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest

from tests.acceptance.cluster import Cluster, Process
from tests.acceptance.cluster import request as call
from tests.acceptance.truth import wait_finished
from tests.ports import free_port

SETS = {"python3-doc": "/usr/share/doc/python3/html", "git-doc": "/usr/share/doc/git-doc"}
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")


@pytest.fixture(params=SETS)
def docs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """nginx serving a package's documentation on loopback; yields its URL."""
    root = Path(SETS[request.param])
    assert NGINX, "nginx is not installed; run `make system`"
    assert root.is_dir(), f"{request.param} is not installed; run `make system`"
    port = free_port()
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"""daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;
        events {{}}
        http {{
            types {{ text/html html; text/css css; application/javascript js; image/png png; }}
            access_log {tmp_path}/access.log;
            client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
            fastcgi_temp_path {tmp_path}/fcgi; uwsgi_temp_path {tmp_path}/uwsgi;
            scgi_temp_path {tmp_path}/scgi;
            server {{ listen 127.0.0.1:{port}; root {root.resolve()}; }}
        }}"""
    )
    server = Process("nginx", [NGINX, "-c", str(configuration)], tmp_path / "nginx.log")
    yield f"http://127.0.0.1:{port}"
    server.stop()


class _Reader(HTMLParser):
    """Links of a page and the text of its first h1, with nothing but the standard library."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.title = ""
        self._inside = 0
        self._seen = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attributes if name == "href" and value]
        if tag == "h1" and not self._seen:
            self._inside, self._seen = 1, True

    def handle_endtag(self, tag: str) -> None:
        if tag == "h1":
            self._inside = 0

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.title += data


def crawl_by_hand(start: str) -> tuple[set[str], dict[str, str]]:
    """Every HTML page below ``start`` that answers 200, and its h1's text."""
    pending, seen, titles = [start], {start}, {}
    done = set()
    while pending:
        url = pending.pop()
        try:
            with urllib.request.urlopen(url) as response:
                kind, body = response.headers.get_content_type(), response.read()
        except urllib.error.HTTPError:
            continue
        done.add(url)
        if kind != "text/html":
            continue
        reader = _Reader()
        reader.feed(body.decode())
        titles[url] = " ".join(reader.title.split())
        for link in reader.links:
            target = urldefrag(urljoin(url, link)).url
            if target.startswith(start) and target not in seen:
                seen.add(target)
                pending.append(target)
    return done, titles


@pytest.mark.timeout(300)
async def test_a_documentation_set_equals_a_script_by_hand(cluster: Cluster, docs: str) -> None:
    start = f"{docs}/"
    cluster.start_master("1")
    cluster.start_worker("1")
    await cluster.wait_leader()
    definition = {
        "start_urls": [start],
        "download_delay": 0,
        "concurrent_requests_per_domain": 8,
        "rules": [
            {
                "name": "page",
                "match": f"{start}**",
                "follow": [{"css": "a"}],
                "item": {"title": {"xpath": "string((//h1)[1])"}},
            }
        ],
    }
    status, answer = await call("PUT", f"{cluster.url('1')}/crawler/resource/docs", definition)
    assert status in (200, 202), answer
    expected, titles = crawl_by_hand(start)
    await wait_finished(cluster, "1", 200, name="docs")
    with cluster.sql() as sql:
        fetched = {row[0] for row in sql.execute("SELECT url FROM pages WHERE status = 200")}
        items = dict(
            sql.execute(
                "SELECT pages.url, items.fields FROM items JOIN pages USING (fingerprint)"
            ).fetchall()
        )
    assert len(expected) > 200
    assert fetched == expected
    found = {url: json.loads(fields)["title"].rstrip("¶") for url, fields in items.items()}
    assert found == {url: title.rstrip("¶") for url, title in titles.items() if title}
