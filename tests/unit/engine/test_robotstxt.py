"""A robots.txt means what RFC 9309 says, and what crawlers agree on where it is silent."""

from __future__ import annotations

import pytest

from crawler.engine.fetch.robotstxt import MAX_SITEMAPS, RobotsTxt, sitemaps_in
from crawler.engine.urls import canonical

A = "https://a.example"


def allows(text: str | bytes, path: str, token: str = "FooBot") -> bool:
    body = text if isinstance(text, bytes) else text.encode()
    return RobotsTxt(body, token).allows(A + path)


def rules(*lines: str) -> str:
    """Rules for everybody."""
    return "\n".join(["User-agent: *", *lines])


# fmt: off
GROUPS = [
    ("", "/x", True, "an empty file says nothing"),
    ("Disallow: /", "/x", True, "rules outside of a group say nothing"),
    ("User-agent: *\nDisallow: /", "/x", False, "a star is for everybody"),
    ("User-agent: *\nDisallow: /", "/robots.txt", True, "robots.txt itself is allowed"),
    ("User-agent: foobot\nDisallow: /", "/x", False, "tokens are compared in any case"),
    ("USER-AGENT: FooBot\nDISALLOW: /", "/x", False, "so are fields"),
    ("User-agent: foo\nDisallow: /", "/x", True, "a token is no prefix"),
    ("User-agent: bot\nDisallow: /", "/x", True, "nor an ending"),
    ("User-agent: foobot-news\nDisallow: /", "/x", True, "nor shorter than what is named"),
    ("User-agent: FooBot/2.1\nDisallow: /", "/x", False, "a version is no part of the token"),
    ("User-agent: FooBot (x; y)\nDisallow: /", "/x", False, "nor is a comment"),
    ("User-agent: *\nDisallow: /\nUser-agent: foobot\nDisallow: /y", "/x", True,
     "a group of our own is all that counts"),
    ("User-agent: foobot\nDisallow:\nUser-agent: *\nDisallow: /", "/x", True,
     "even when it forbids nothing"),
    ("User-agent: foobot\nUser-agent: *\nDisallow: /", "/x", False, "one group for two"),
    ("User-agent: foobot\nDisallow: /x\nUser-agent: o\nAllow: /\nUser-agent: foobot\nDisallow: /z",
     "/z", False, "groups of one token are merged"),
    ("User-agent: foobot\nDisallow: /x\nUser-agent: o\nAllow: /\nUser-agent: foobot\nDisallow: /z",
     "/x", False, "groups of one token are merged, the first too"),
    ("User-agent: *\nDisallow: /x\nUser-agent: o\nAllow: /\nUser-agent: *\nDisallow: /z", "/z",
     False, "so are those of the star"),
    ("User-agent: foobot\n\n\nDisallow: /", "/x", False, "empty lines do not end a group"),
    ("User-agent: foobot\nSitemap: https://a.example/s\nUser-agent: o\nDisallow: /", "/x", False,
     "nor do other records"),
    ("User-agent: foobot\nNonsense: 1\nUser-agent: o\nDisallow: /", "/x", False,
     "nor unknown ones"),
    ("User-agent: foobot\nCrawl-delay: 1\nUser-agent: o\nDisallow: /", "/x", False,
     "a delay is no rule"),
    ("User-agent: foobot\nDisallow:\nUser-agent: o\nDisallow: /", "/x", True,
     "an empty rule is one"),
    ("User-agent:\nDisallow: /", "/x", True, "a group for nobody"),
    ("\ufeffUser-agent: foobot\nDisallow: /", "/x", False, "a byte order mark is skipped"),
    (b"\xef\xbbUser-agent: foobot\nDisallow: /", "/x", False, "one that was cut short, too"),
    (b"\xef\x11\xbfUser-agent: foobot\nDisallow: /", "/x", True, "but nothing else is"),
    (b"User-agent: foobot\n\xef\xbb\xbfDisallow: /", "/x", True, "nor is one further down"),
    ("User-agent: foobot\rDisallow: /a\r\nDisallow: /b\nDisallow: /c\r\n\rDisallow: /x", "/x",
     False, "lines end in any way"),
    ("User-agent: foobot\u2028Disallow: /", "/x", True, "but in no other"),
    ("  User-agent :\tfoobot \n\tDisallow\t: / # all", "/x", False, "blanks do not matter"),
    ("User-agent foobot\nDisallow /", "/x", False, "a blank for the colon"),
    ("User-agent: foobot\nDisallow / x", "/x", True, "that is no rule any more"),
    ("just some words\n<html>\n: : :\nUser-agent: foobot\n::\nDisallow: /", "/x", False,
     "lines that are nothing are skipped"),
    ("User-agent: foobot\nDisalow: /", "/x", False, "a usual misspelling"),
    ("User-agent: foobot\n# Disallow: /\nDisallow: /y#z", "/y", False, "comments"),
    ("User-agent: foobot\n# Disallow: /\nDisallow: /y#z", "/x", True, "comments are no rules"),
]

MATCHES = [
    (["Disallow: /fish"], "/fish", False),
    (["Disallow: /fish"], "/fishheads/yummy.html", False),
    (["Disallow: /fish"], "/Fish", True),
    (["Disallow: /fish"], "/catfish", True),
    (["Disallow: /fish"], "/?id=/fish", True),
    (["Disallow: /fish/"], "/fish", True),
    (["Disallow: /fish/"], "/fish/?id=1", False),
    (["Disallow: fish"], "/fish", True),
    (["Disallow:"], "/fish", True),
    (["Disallow: /*.php"], "/folder/filename.php?parameters", False),
    (["Disallow: /*.php"], "/windows.PHP", True),
    (["Disallow: *.php"], "/a/b.php", False),
    (["Disallow: /*.php$"], "/a/b.php", False),
    (["Disallow: /*.php$"], "/a/b.php?x", True),
    (["Disallow: /*.php$"], "/a/b.php5", True),
    (["Disallow: /*.php$"], "/a.php/b.php", False),
    (["Disallow: /fish*.php"], "/fishheads/catfish.php?parameters", False),
    (["Disallow: /a*b*c$"], "/axxbxxcxxc", False),
    (["Disallow: /a*b*c$"], "/axxbxxcxxcd", True),
    (["Disallow: /a**b"], "/a-b", False),
    (["Disallow: /x$"], "/x", False),
    (["Disallow: /x$"], "/x/", True),
    (["Disallow: /x$y"], "/x$y", False),
    (["Disallow: /x$y"], "/x", True),
    (["Disallow: /$"], "/", False),
    (["Disallow: /$"], "/a", True),
    (["Disallow: /*/x"], "/x", True),
    (["Disallow: /*?*s="], "/p?a=1&s=2", False),
    (["Disallow: /ab*b$"], "/ab", True),
    # The longest pattern wins, of equally long ones Allow, in whatever order they stand.
    (["Disallow: /x/page.html", "Allow: /x/"], "/x/page.html", False),
    (["Allow: /x/page.html", "Disallow: /x/"], "/x/page.html", True),
    (["Allow: /x/page.html", "Disallow: /x/"], "/x/", False),
    (["Disallow: /", "Allow: /"], "/x", True),
    (["Allow: /", "Disallow: /"], "/x", True),
    (["Disallow: /x", "Allow: /x/"], "/x", False),
    (["Disallow: /x", "Allow: /x/"], "/x/", True),
    (["Allow: /page", "Disallow: /*.html"], "/page.html", False),
    (["Allow: /x/page.", "Disallow: /*.html"], "/x/page.html", True),
    (["Allow: /$", "Disallow: /"], "/", True),
    (["Allow: /$", "Disallow: /"], "/page.html", False),
    (["Allow: /*.a", "Disallow: /x.a"], "/x.a", True),
    (["Disallow: /*.a", "Allow: /x.a"], "/x.a", True),
    (["Allow: /d/index.html", "Disallow: /"], "/d/", True),
    (["Allow: /d/index.html", "Disallow: /"], "/d/x", False),
    # Escapes: one spelling per octet, but those of reserved characters mean something else.
    (["Disallow: /bar/ツ"], "/bar/%E3%83%84", False),
    (["Disallow: /bar/%e3%83%84"], "/bar/%E3%83%84", False),
    (["Disallow: /bar/%E3%83%84"], "/bar/%e3%83%84", False),
    (["Disallow: /bar/%62%61%7A"], "/bar/baz", False),
    (["Disallow: /bar/baz"], "/bar/%62%61%7A", False),
    (["Disallow: /a%2Fb"], "/a/b", True),
    (["Disallow: /a%2fb"], "/a%2Fb", False),
    (["Disallow: /a%3Cd"], "/a%3cd", False),
    (["Disallow: /a?b=https://x"], "/a?b=https://x", False),
    (["Disallow: /file-%2A.html"], "/file-*.html", False),
    (["Disallow: /file-%2A.html"], "/file-a.html", True),
    (["Disallow: /foo-%24"], "/foo-$", False),
    (["Disallow: /foo-%24"], "/foo-", True),
    (["Disallow: /100%"], "/100%", False),
    (["Disallow: /100%zz"], "/100%zz", False),
]
# fmt: on


@pytest.mark.parametrize(("text", "path", "allowed", "why"), GROUPS, ids=[row[3] for row in GROUPS])
def test_groups_and_lines(text: str | bytes, path: str, allowed: bool, why: str) -> None:
    assert allows(text, path) is allowed, why


@pytest.mark.parametrize(("lines", "path", "allowed"), MATCHES)
def test_patterns(lines: list[str], path: str, allowed: bool) -> None:
    assert allows(rules(*lines), path) is allowed


# What RFC 9309 shows in its sections 2.2.2 and 5: which crawler may fetch what.
MANY = """User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot

EOF
"""


@pytest.mark.parametrize(
    ("token", "allowed", "refused"),
    [
        ("foobot", "/example/page.html /example/allowed.gif", "/ /publications/ /example/x"),
        ("barbot", "/ /example/ /x.gif /example/page.htm", "/example/page.html"),
        ("BazBot", "/ /example/ /x.gif /example/page.htm", "/example/page.html"),
        ("quxbot", "/ /x.gif /example/page.html", ""),
        ("other", "/ /publications/x /x.gif? /example", "/x.gif /a/x.gif /example/page.html"),
    ],
)
def test_the_groups_that_the_rfc_shows(token: str, allowed: str, refused: str) -> None:
    for path in allowed.split():
        assert allows(MANY, path, token), path
    for path in refused.split():
        assert not allows(MANY, path, token), path


def test_the_longest_match_as_the_rfc_shows_it() -> None:
    lines = rules("Allow: /example/page/", "Disallow: /example/page/disallowed.gif")
    assert allows(lines, "/example/page/")
    assert not allows(lines, "/example/page/disallowed.gif")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz"),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar"),
        ("/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar"),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84"),
        ("/foo/bar/%E3%83%84", "/foo/bar/%E3%83%84"),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz"),
    ],
)
def test_escapes_as_the_rfc_shows_them(pattern: str, path: str) -> None:
    assert not allows(rules(f"Disallow: {pattern}"), path)


@pytest.mark.parametrize("char", "\"'<>^`{|}")
def test_what_urls_escape_may_stand_plainly_in_a_pattern(char: str) -> None:
    for begin in ("/a", "/a?"):
        url = canonical(f"{A}{begin}{char}b")
        for pattern in (f"{begin}{char}", f"{begin}%{ord(char):02x}"):
            assert not allows(rules(f"Disallow: {pattern}"), url.removeprefix(A))


def test_octets_that_are_no_utf_8_are_compared_as_they_are() -> None:
    assert not allows(b"User-agent: *\nDisallow: /caf\xe9", "/caf%E9")
    assert allows(b"User-agent: *\nDisallow: /caf\xe9", "/caf%C3%A9")


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("User-agent: *\nCrawl-delay: 3\nUser-agent: foobot\nCrawl-delay: 5\n", 5.0),
        ("User-agent: foobot\nCrawl-delay: 5\nUser-agent: *\nCrawl-delay: 9\nDisallow:", 5.0),
        ("User-agent: o\nUser-agent: foobot\nDisallow: /x\nCrawl-delay: 2\nRequest-rate: 1/7", 7.0),
        ("User-agent: foobot\nRequest-rate: 2/1m 0900-1700", 30.0),
        ("User-agent: foobot\nRequest-rate: 0/5\nCrawl-delay: x", 0.0),
        ("User-agent: foobot\nDisallow:\n\nUser-agent: *\nCrawl-delay: 9", 0.0),
    ],
)
def test_delays_are_those_of_the_agents_named_before(text: str, delay: float) -> None:
    assert RobotsTxt(text.encode(), "FooBot").delay_s == delay


def test_sitemaps_are_found_wherever_they_stand() -> None:
    text = f"Sitemap: {A}/1\nUser-agent: o\nSITEMAP:{A}/ü\nDisallow: /\nsitemap\nSitemap: /3\n"
    assert sitemaps_in(text.encode()) == (f"{A}/1", f"{A}/ü", "/3")
    assert len(sitemaps_in(b"Sitemap: /x\n" * 5_000)) == MAX_SITEMAPS
