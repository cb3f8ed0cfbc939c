"""URLs have one spelling, one fingerprint, and a crawl stays in its scope."""

from dataclasses import dataclass

import pytest

from crawler.engine.urls import MAX_URL, Scope, canonical, fingerprint, host_of
from crawler.errors import InvalidInput


@dataclass(frozen=True)
class Territory:
    start_urls: tuple[str, ...]
    allowed_domains: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("HTTP://Example.COM:80/a/../b?x=1#f", "http://example.com/b?x=1"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("https://user:pw@example.com/a@b", "https://example.com/a@b"),
        ("https://example.com/ü?ü", "https://example.com/%C3%BC?%C3%BC"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        (" https://example.com/\n", "https://example.com/"),
        ("https://example.com/a?", "https://example.com/a"),
        ("https://example.com/a?#?", "https://example.com/a"),
        ("https://example.com/a??", "https://example.com/a??"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f000001/", "http://127.0.0.1/"),
        ("http://0177.0.0.1/", "http://127.0.0.1/"),
        ("http://127.1/", "http://127.0.0.1/"),
        ("http://①②⑦.⓪.⓪.①/", "http://127.0.0.1/"),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://[1:0:0:2:0:0:0:3]/", "http://[1:0:0:2::3]/"),
        ("http://0300.0xA8.1/", "http://192.168.0.1/"),
        ("http://%31%32%37.0.0.1/", "http://127.0.0.1/"),
        ("http://Ex%41mple.com/", "http://example.com/"),
        ("http://faß.example/", "http://xn--fa-hia.example/"),
        ("http://ab\u00adc.example/", "http://abc.example/"),
        ("http://a\u3002example/", "http://a.example/"),
        ("http://a.example./", "http://a.example./"),
        ("https:a.example\\b\\..\\c", "https://a.example/c"),
        ("http:////a.example///b", "http://a.example///b"),
        ("http://a.example/%2e/b/%2E%2e/c", "http://a.example/c"),
        ("http://a.example/b/..;/c/.%2e", "http://a.example/b/..;/"),
        ("http://a.example/%zz%7e~|^`{}", "http://a.example/%zz%7e~|%5E%60%7B%7D"),
        ("http://a.example/?q='%27\"<>`{}", "http://a.example/?q=%27%27%22%3C%3E`{}"),
        ("ht\ntp://a.exa\tmple/b\r", "http://a.example/b"),
        ("http://a.example:/", "http://a.example/"),
        ("http://a.example:00443/", "http://a.example:443/"),
        ("http://u@x:p@a.example/", "http://a.example/"),
    ],
)
def test_canonical(raw: str, expected: str) -> None:
    assert canonical(raw) == expected
    assert canonical(expected) == expected
    assert canonical(raw) == expected  # now that the origin is known


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "page.html",
        "mailto:a@b.c",
        "javascript:void(0)",
        "file:///etc/passwd",
        "ftp://a/",
        "http://",
        "http://a b/",
        "http://a%00b/",
        "http://a|b/",
        "http://a.example:65536/",
        "http://a.example:8o/",
        "http://256.256.256.256/",
        "http://1.2.3.4.5/",
        "http://0x100000000/",
        "http://a.0x/",
        "http://[::1/",
        "http://[1::2::3]/",
        "http://\u00ad/",
        "https://a.example/\ud800",
        "https://a.example/" + "x" * MAX_URL,
    ],
)
def test_what_is_no_page_is_refused(raw: str) -> None:
    with pytest.raises(InvalidInput):
        canonical(raw)


def test_relative_links_resolve_against_the_base() -> None:
    assert canonical("../c?d#e", "https://a.example/x/y/z") == "https://a.example/x/c?d"


def test_host_names_its_port_unless_it_is_the_schemes_own() -> None:
    assert host_of(canonical("https://a.example:443/x")) == "a.example"
    assert host_of(canonical("http://a.example:443/x")) == "a.example:443"
    assert host_of(canonical("http://[::1]:80/")) == "[::1]"


def test_fingerprints_tell_requests_apart() -> None:
    url = "https://a.example/"
    prints = [
        fingerprint("GET", url),
        fingerprint("POST", url),
        fingerprint("GET", url, b""),
        fingerprint("GET", url, b"x"),
        fingerprint("GET", url + "x"),
    ]
    assert len(set(prints)) == len(prints)
    assert {len(each) for each in prints} == {16}
    assert fingerprint("GET", url) == prints[0]


def test_default_scope_is_the_start_hosts_with_subdomains() -> None:
    scope = Scope(Territory(("https://Shop.example/x", "http://10.0.0.1:8080/")))
    assert scope.allows("https://shop.example/")
    assert scope.allows("http://a.b.shop.example/")
    assert scope.allows("http://10.0.0.1:8080/y")
    assert not scope.allows("https://example/")
    assert not scope.allows("https://notshop.example/")
    assert not scope.allows("http://9.10.0.0.1/")
    assert not scope.allows("https://shop.example:6379/")


def test_default_scope_takes_in_the_host_a_start_url_redirects_to() -> None:
    scope = Scope(Territory(("https://old.example/",)))
    assert not scope.allows("https://new.example/")
    assert scope.adopt("new.example")
    assert scope.allows("https://www.new.example/")
    assert not scope.trusts("https://new.example/")


def test_named_scope_stands() -> None:
    scope = Scope(Territory(("https://a.example/",), ("B.example", "bücher.example:8080")))
    assert scope.allows("https://x.b.example/")
    assert scope.allows("http://xn--bcher-kva.example:8080/")
    assert not scope.allows("https://a.example/")
    assert not scope.adopt("c.example")
    assert not scope.allows("https://c.example/")


def test_a_named_scope_takes_in_the_port_where_a_crawl_begins() -> None:
    """Domains name no ports, and what a spider's start() yields is in no start_urls."""
    scope = Scope(Territory((), ("a.example",)))
    assert not scope.allows("http://a.example:8000/")
    assert not scope.adopt("b.example:8000")
    assert scope.adopt("a.example:8000")
    assert scope.allows("http://www.a.example:8000/")
    assert not scope.allows("http://b.example:8000/")


def test_credentials_go_only_where_the_user_pointed() -> None:
    scope = Scope(Territory(("https://a.example/",)))
    assert scope.trusts("https://a.example/x")
    assert scope.trusts("https://api.a.example/x")
    assert not scope.trusts("http://a.example/x")
    assert not scope.trusts("https://b.example/")
    assert Scope(Territory(("http://a.example/",))).trusts("http://a.example/x")
