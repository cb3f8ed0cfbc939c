"""Whether a documentation set is crawled completely: the pages, statuses and fields of Scrapy.

    python -m tests.bench.documents --peers .peers/bin/python /usr/share/doc/git-doc/git.html

serves the directory of the page on loopback, crawls it from the page on with both, and names what
differs; the exit code is 1 where anything does. With Debian 12's packages, from the first page of
each, nothing did: 218 pages of git-doc, 528 of python3.11-doc, 1,169 of postgresql-doc-15. Pages of
rust-doc that pass on by a meta refresh are followed by neither of the two here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.contestants import PEERS
from tests.bench.site import NGINX
from tests.ports import free_port

_CONFIG = """\
daemon off; pid {home}/nginx.pid; error_log {home}/error.log;
events {{}}
http {{
    types {{ text/html html htm; text/plain txt; text/css css; application/javascript js; }}
    access_log off;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fcgi; uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""
_FIELDS = {"title": "string((//title)[1])", "heading": "string((//h1)[1])"}
_SHOWN = 10
Pages = Mapping[str, tuple[Any, ...]]  # by URL: status and fields


@contextmanager
def serving(root: Path, home: Path) -> Iterator[str]:
    """nginx on loopback; yields the URL of the directory."""
    port = free_port()
    config = home / "nginx.conf"
    config.write_text(_CONFIG.format(home=home, port=port, root=root))
    home.chmod(0o755)  # nginx serves as another user where it is started by root
    server = subprocess.Popen([NGINX, "-c", str(config)], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(url, timeout=5).close()
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.05)
            else:
                break
        yield url
    finally:
        server.terminate()
        server.wait()


def crawled(start: str, home: Path) -> Pages:
    """What crawler makes of it."""
    fields = {name: {"xpath": path} for name, path in _FIELDS.items()}
    definition = {
        "start_urls": [start],
        "download_delay": 0,
        "concurrent_requests_per_domain": 8,
        "rules": [{"match": "**", "follow": ["a, area"], "item": fields}],
    }
    (home / "docs.json").write_text(json.dumps(definition))
    run = ["run", "docs.json", "--data", "data", "-o", "items.jsonl"]
    pages = ["pages", "local", "--store", f"sqlite:///{home}/data/crawl.db", "-o", "pages.jsonl"]
    for arguments in (run, pages):
        subprocess.run([sys.executable, "-m", "crawler", *arguments], cwd=home, check=True)
    items = {each["_url"]: each for each in _lines(home / "items.jsonl")}
    return {
        page["url"]: (page["status"], *_values(items.get(page["url"], {})))
        for page in _lines(home / "pages.jsonl")
        if page["state"] != "excluded"
    }


def crawled_by_scrapy(start: str, home: Path, python: Path) -> Pages:
    """What Scrapy makes of it."""
    script = str(PEERS / "scrapy_documents.py")
    command = [str(python.absolute()), script, start, "scrapy.jsonl"]
    subprocess.run(command, cwd=home, check=True)
    return {page["url"]: (page["status"], *_values(page)) for page in _lines(home / "scrapy.jsonl")}


def _values(page: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(page.get(name) or "" for name in _FIELDS)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open() as lines:
        yield from map(json.loads, lines)


def differences(ours: Pages, theirs: Pages) -> list[str]:
    """What differs, page by page."""
    return [
        f"{url}: crawler {ours.get(url, 'never')}, Scrapy {theirs.get(url, 'never')}"
        for url in sorted({*ours, *theirs})
        if ours.get(url) != theirs.get(url)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="the Python that has Scrapy")
    parser.add_argument("page", type=Path, help="the file to begin at")
    asked = parser.parse_args()
    page: Path = asked.page.absolute()
    with tempfile.TemporaryDirectory() as directory, serving(page.parent, Path(directory)) as url:
        start = f"{url}/{page.name}"
        ours = crawled(start, Path(directory))
        found = differences(ours, crawled_by_scrapy(start, Path(directory), asked.peers))
    print(f"{len(ours)} pages, {len(found)} differences")
    print("\n".join(found[:_SHOWN]))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
