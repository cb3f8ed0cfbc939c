"""Sitemaps of every form are read, bounded, and never trusted."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from crawler.engine import sitemaps
from crawler.engine.extract import Extraction
from crawler.engine.sitemaps import SITEMAP, Sitemaps
from crawler.errors import FetchFailed
from tests.unit.engine.world import A

MAP = f"{A}/maps/sitemap.xml"


def read(
    body: str | bytes,
    *,
    url: str = MAP,
    label: str = SITEMAP,
    takes: Callable[[str], bool] = lambda _: True,
) -> Extraction:
    raw = body if isinstance(body, bytes) else body.encode()
    return Sitemaps(takes).read(raw, url, label)


def pages(body: str | bytes) -> list[str]:
    return [link.url for link in read(body).links if link.to is None]


def urlset(*locs: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    entries = "".join(f"<url><loc>{loc}</loc><lastmod>2026-01-01</lastmod></url>" for loc in locs)
    return f'{head}<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'


def packed(text: str) -> bytes:
    """The same bytes whenever: they stand in the names of tests."""
    return gzip.compress(text.encode(), mtime=0)


def index(*locs: str) -> str:
    entries = "".join(f"<sitemap><loc>{loc}</loc></sitemap>" for loc in locs)
    return f"<sitemapindex>{entries}</sitemapindex>"


RSS = """<rss version="2.0"><channel><link>https://a.example/</link>
<item><title>a &amp; b</title><link><![CDATA[ https://a.example/1?x=1&y=2 ]]></link></item>
<item><guid>https://a.example/2</guid></item>
<item><guid isPermaLink="false">https://a.example/no</guid></item>
<item><link>/3</link><source><link>https://a.example/no</link></source></item>
</channel></rss>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><channel>
<link>https://a.example/</link></channel><item><link>https://a.example/1</link></item></rdf:RDF>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><link href="https://a.example/"/>
<entry><link rel="self" href="https://a.example/no"/><link href="https://a.example/1"/></entry>
<entry><link rel="alternate" href="../2"/><content><link href="/no"/></content></entry></feed>"""
IMAGES = """<urlset xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"><url>
<image:image><image:loc>https://a.example/no.png</image:loc></image:image>
<loc>
  https://a.example/1?a=1&amp;b=2
</loc></url></urlset>"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (urlset(f"{A}/1", f"{A}/2", f"{A}/1"), ["/1", "/2"]),
        ("\ufeff \n" + urlset(f"{A}/1", head=""), ["/1"]),
        (urlset(f"{A}/ü", head="").encode("utf-16"), ["/%C3%BC"]),
        (
            urlset(f"{A}/ü", head='<?xml version="1.0" encoding="windows-1252"?>').encode("cp1252"),
            ["/%C3%BC"],
        ),
        (urlset(f"{A}/1").replace("<", "<s:").replace("<s:/", "</s:").replace("<s:?", "<?"),
         ["/1"]),
        (IMAGES, ["/1?a=1&b=2"]),
        (RSS, ["/1?x=1&y=2", "/2", "/3"]),
        (RDF, ["/1"]),
        (ATOM, ["/1", "/2"]),
        (f"{A}/1\r\n\r\n  {A}/2 \nnonsense\n{A}/3", ["/1", "/2", "/3"]),
        (f"{A}/1\r{A}/2\r", ["/1", "/2"]),
        (f"{A}/1\r\n{A}/2".encode("utf-16"), ["/1", "/2"]),
        ("\n\n" + urlset(f"{A}/1"), ["/1"]),
        (f"\ufeff{A}/1\nx {A}/no\nftp://a.example/no\n{A}/2", ["/1", "/2"]),
        ("\n".join(f"{A}/{n:050}" for n in range(3_000)), [f"/{n:050}" for n in range(3_000)]),
        (packed(urlset(f"{A}/1")), ["/1"]),
        (packed(f"{A}/1\n") + packed(f"{A}/2"), ["/1", "/2"]),
        ("<!DOCTYPE rss SYSTEM 'http://x/rss.dtd'>" + RSS, ["/1?x=1&y=2", "/2", "/3"]),
    ],
)  # fmt: skip
def test_pages_are_found_in_every_form(body: str | bytes, expected: list[str]) -> None:
    assert pages(body) == [f"{A}{path}" for path in expected]


FEED = """<?xml version="1.0" encoding="{}"?>
<rss><item><title>{}</title><link>https://a.example/1</link></item></rss>"""


@pytest.mark.parametrize(
    ("label", "codec", "title"),
    [
        ("GBK", "gbk", "\u4e2d\u6587"),
        ("gb2312", "gbk", "\u4e2d\u6587"),
        ("Shift_JIS", "cp932", "\u8868\u793a"),  # its second octets look like ASCII
        ("ISO-2022-JP", "iso2022_jp", "\u65e5\u672c"),
        ("euc-kr", "cp949", "\ud55c\uae00"),
        ("big5", "big5", "\u529f"),
        ("utf8", "utf-8", "\u0436"),
        ("koi8-r", "koi8_r", "\u0436"),
        ("utf-16", "utf-16-be", "\u0436"),
        ("utf-16", "utf-8", "\u0436"),
        ("klingon", "utf-8", "\u0436"),
        ("utf-8", "cp1251", "\u0436"),
        ("utf-8", "utf-8", "\x0b\x01"),
    ],
)
def test_a_feed_is_read_in_any_encoding(label: str, codec: str, title: str) -> None:
    assert pages(FEED.format(label, title).encode(codec)) == [f"{A}/1"]


def test_the_header_stands_above_the_declaration() -> None:
    body = urlset(f"{A}/\u0436", head='<?xml version="1.0" encoding="utf-8"?>').encode("koi8-r")
    (link,) = Sitemaps(lambda _: True).read(body, MAP, SITEMAP, "koi8-r").links
    assert link.url == f"{A}/%D0%B6"


def test_entries_are_relative_to_their_xml_base() -> None:
    feed = """<feed xml:base="/blog/"><entry xml:base="2026/"><link href="a"/></entry>
    <entry><link href="b"/></entry><entry xml:base="http://["><link href="c"/>
    <link href="https://a.example/d"/></entry></feed>"""
    assert pages(feed) == [f"{A}/blog/2026/a", f"{A}/blog/b", f"{A}/d"]


def test_an_ampersand_that_is_not_escaped_is_one_all_the_same() -> None:
    assert pages(urlset(f"{A}/1?a=1&b=2", f"{A}/2?x&amp;y")) == [f"{A}/1?a=1&b=2", f"{A}/2?x&y"]
    assert pages(urlset(f"{A}/1?a=&nbsp;")) == [f"{A}/1?a=&nbsp;"]


def test_what_stands_before_a_mistake_counts() -> None:
    found = read(urlset(f"{A}/1", f"{A}/2").replace("</urlset>", "<url><loc></url>"))
    assert [link.url for link in found.links] == [f"{A}/1", f"{A}/2"]
    assert "mistake" in found.errors[0]


def test_indexes_lead_to_sitemaps_three_deep() -> None:
    first = read(index(f"{A}/a.xml"))
    assert [(link.url, link.to) for link in first.links] == [(f"{A}/a.xml", "<sitemap 2>")]
    second = read(index(f"{A}/b.xml"), label="<sitemap 2>")
    assert [link.to for link in second.links] == ["<sitemap 3>"]
    third = read(index(f"{A}/c.xml"), label="<sitemap 3>")
    assert not third.links
    assert third.errors == ("1 sitemaps left out: indexes in indexes",)
    assert read(urlset(f"{A}/1"), label="<sitemap 3>").links


def test_robots_txt_names_sitemaps() -> None:
    found = read(f"Sitemap: {A}/a.xml\nUser-agent: *\nDisallow: /", url=f"{A}/robots.txt")
    assert [(link.url, link.to) for link in found.links] == [(f"{A}/a.xml", SITEMAP)]
    assert not read("", url=f"{A}/robots.txt").links


def test_entries_that_no_rule_takes_are_left_alone_and_counted() -> None:
    found = read(urlset(f"{A}/p/1", f"{A}/about"), takes=lambda url: "/p/" in url)
    assert [link.url for link in found.links] == [f"{A}/p/1"]
    assert found.errors == ("1 entries left alone, because no rule takes them",)


def test_entries_that_are_no_urls_are_counted() -> None:
    found = read(urlset("mailto:a@b.c", "http://[", f"{A}/" + "x" * 5_000, f"{A}/1"))
    assert [link.url for link in found.links] == [f"{A}/1"]
    assert found.errors == ("3 entries are no URLs",)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<html><body>gone</body></html>", "not a sitemap: <html>"),
        ("", "not a sitemap"),
        ("just text", "not a sitemap"),
        ("\x00\x01\x02", "not a sitemap"),
        ("<urlset><url>", "not readable as a sitemap: no element found"),
        ("<", "not readable as a sitemap"),
        (b"\x1f\x8b garbage", "broken content coding"),
        ("<urlset>" + "<a>" * 100, "a sitemap that is nested too deeply"),
    ],
)
def test_what_is_no_sitemap_fails_with_a_reason(body: str | bytes, reason: str) -> None:
    with pytest.raises(FetchFailed, match=reason):
        read(body)


@pytest.mark.threat(16)
@pytest.mark.parametrize(
    "entities",
    [
        '<!ENTITY x SYSTEM "file:///etc/passwd">',
        '<!ENTITY % x SYSTEM "http://a.example/x.dtd"> %x;',
        '<!ENTITY a "aaaaaaaaaa"><!ENTITY x "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">',
    ],
)
def test_entities_are_refused(entities: str) -> None:
    body = f"<!DOCTYPE urlset [{entities}]>{urlset(A + '/&x;', head='')}"
    with pytest.raises(FetchFailed, match="declares entities"):
        read(body)


def test_labels_of_sitemaps_are_no_names_of_rules() -> None:
    assert sitemaps.is_sitemap(SITEMAP)
    assert not sitemaps.is_sitemap("sitemap")
    assert not sitemaps.is_sitemap(None)


@pytest.mark.threat(16)
def test_what_is_not_read_to_its_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemaps, "_MAX_ELEMENTS", 2_000)
    found = read(urlset(f"{A}/1").replace("</urlset>", "<url/>" * 2_000 + "</urlset>"))
    assert [link.url for link in found.links] == [f"{A}/1"]
    assert found.errors == ("not read to its end: more than 2000 elements",)
