"""What the proxy decides without a network: targets, hops, peers, marks, the door."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from crawler.access import Access, Role, line_of, new_token
from crawler.cache.fields import Fields
from crawler.clock import SystemClock
from crawler.coordination.signing import Seal
from crawler.proxy.door import admit
from crawler.proxy.hops import check_framing, check_loop, end_to_end, hops_left, passed_by
from crawler.proxy.hosts import Hosts
from crawler.proxy.marks import check_mark, mark
from crawler.proxy.notes import Note, Result
from crawler.proxy.peers import Peer, Peers, owner_of
from crawler.proxy.refusals import Refusal
from crawler.proxy.targets import check_tunnel, parse_authority, parse_target, read_opening
from crawler.rates import Rates


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("http://Site.Example", "http://site.example/"),
        ("HTTP://site.example:80/A?b=C", "http://site.example/A?b=C"),
        ("http://site.example?q", "http://site.example/?q"),
        ("https://site.example:443/", "https://site.example/"),
        ("https://site.example:8443/%7e/../x", "https://site.example:8443/%7e/../x"),
        ("http://[2001:DB8::1]:81/", "http://[2001:db8::1]:81/"),
    ],
)
def test_a_target_is_kept_as_it_was_written(target: str, url: str) -> None:
    assert parse_target(target).url == url


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "*",
        "site.example:443",
        "ftp://site.example/",
        "http://user:password@site.example/",
        "http://site.example/#part",
        "http://site.example:0/",
        "http://site.example:99999/",
        "http:///path",
        "http://site.example\\@other.example/",
        "http://site.exa mple/",
        "http://site%2eexample/",
    ],
)
def test_a_target_that_says_something_else_is_refused(target: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_target(target)
    assert refused.value.status == 400


def test_a_host_is_counted_by_one_name() -> None:
    assert parse_target("http://site.example./").host == parse_target("http://SITE.example/").host


def test_tunnels_go_where_the_list_says() -> None:
    openings = [read_opening("*:443"), read_opening("*.Example.org:*"), read_opening("[::1]:99")]
    check_tunnel(openings, "any.example", 443)
    check_tunnel(openings, "a.example.org", 8443)
    check_tunnel(openings, *parse_authority("[::1]:99"))
    for host, port in (("any.example", 22), ("example.org", 80), ("a.example.org.evil", 80)):
        with pytest.raises(Refusal, match=r"allowed are \*:443"):
            check_tunnel(openings, host, port)
    with pytest.raises(Refusal, match="HOST:PORT"):
        parse_authority("any.example")


def test_what_is_of_one_connection_stays_there() -> None:
    fields = Fields(
        (
            ("Connection", "close, X-Own, Cache-Control"),
            ("X-Own", "1"),
            ("Cache-Control", "no-store"),
            ("Transfer-Encoding", "chunked"),
            ("Proxy-Authorization", "Basic x"),
            ("TE", "trailers"),
            ("X-Other", "1"),
        )
    )
    assert end_to_end(fields).pairs == (("Cache-Control", "no-store"), ("X-Other", "1"))


def test_nobody_hides_by_connection_what_decides_whose_an_answer_is() -> None:
    fields = Fields((("Connection", "set-cookie, vary"), ("Vary", "A"), ("Set-Cookie", "a=b")))
    assert [name for name, _ in end_to_end(fields).pairs] == ["Vary", "Set-Cookie"]


def test_max_forwards_is_a_number_however_long() -> None:
    for text, left in (("0", 0), ("00", 0), ("0000000000001", 1), ("7", 7)):
        assert hops_left(Fields((("Max-Forwards", text),))) == left
    with pytest.raises(Refusal):
        hops_left(Fields((("Max-Forwards", "-1"),)))


def test_a_request_that_comes_back_is_known() -> None:
    passed = passed_by(Fields((("Via", "1.0 fred, 1.1 other.example (Squid)"),)), "crawler-1")
    check_loop(passed, "crawler-2")
    with pytest.raises(Refusal) as refused:
        check_loop(passed, "crawler-1")
    assert refused.value.status == 508


def test_a_length_and_a_coding_are_two_ends() -> None:
    both = Fields((("content-length", "3"), ("transfer-encoding", "chunked")))
    with pytest.raises(Refusal, match="not both"):
        check_framing(both)


def test_only_the_urls_of_a_peer_that_leaves_move() -> None:
    ids = [f"worker-{number}" for number in range(5)]
    urls = [f"http://site.example/{number}" for number in range(1000)]
    before = {url: owner_of(url, ids) for url in urls}
    shares = [sum(owner == each for owner in before.values()) for each in ids]
    assert min(shares) > 140
    rest = ids[:-1]
    assert all(
        owner_of(url, reversed(rest)) == owner for url, owner in before.items() if owner in rest
    )


def test_a_peer_that_did_not_answer_is_passed_over_for_a_while() -> None:
    peers = Peers("a", SystemClock())
    assert peers.owner("http://site.example/1") is None
    peers.tell([Peer("a", "127.0.0.1:1"), Peer("b", "127.0.0.1:2")])
    url = next(u for u in map(str, range(100)) if owner_of(u, ["a", "b"]) == "b")
    peer = peers.owner(url)
    assert peer == Peer("b", "127.0.0.1:2")
    peers.failed(peer)
    assert peers.owner(url) is None


def test_a_mark_is_good_for_one_request_one_node_and_one_minute() -> None:
    seal, url = Seal(b"s" * 32), "http://site.example/"
    given = mark(seal, "b", "GET", url, 1000.0)
    renewed = Seal(b"n" * 32, (b"s" * 32,))
    check_mark(renewed, "b", "GET", url, 1059.0, given, anybody=False)
    for own, method, asked, now in (
        ("c", "GET", url, 1000.0),
        ("b", "POST", url, 1000.0),
        ("b", "GET", f"{url}x", 1000.0),
        ("b", "GET", url, 1061.0),
    ):
        with pytest.raises(Refusal) as refused:
            check_mark(seal, own, method, asked, now, given, anybody=True)
        assert refused.value.status == 407
    with pytest.raises(Refusal, match="secret"):
        check_mark(Seal(), "b", "GET", url, 1000.0, given, anybody=False)
    check_mark(Seal(), "b", "GET", url, 1000.0, "0 -", anybody=True)


def basic(password: str) -> Fields:
    return Fields(
        (("Proxy-Authorization", f"Basic {b64encode(f'u:{password}'.encode()).decode()}"),)
    )


def test_the_door_wants_a_token_that_may_operate(tmp_path: Path) -> None:
    file, operator, reader = tmp_path / "tokens", new_token(), new_token()
    file.write_text(
        f"{line_of(operator, 'ann', Role.OPERATE)}\n{line_of(reader, 'bob', Role.READ)}\n"
    )
    access, rates = Access(file), Rates(SystemClock())
    admit(access, rates, basic(operator))
    admit(access, rates, Fields((("proxy-authorization", f"Bearer {operator}"),)))
    admit(Access(), rates, Fields())
    for fields, status in (
        (Fields(), 407),
        (basic("crw_wrong"), 407),
        (Fields((("Proxy-Authorization", "Basic %%%"),)), 407),
        (Fields((("Authorization", f"Bearer {operator}"),)), 407),
        (basic(reader), 403),
    ):
        with pytest.raises(Refusal) as refused:
            admit(access, rates, fields)
        assert refused.value.status == status
    assert "proxy-authenticate" in Refusal(407, "", "other").fields("crawler-1")


async def test_a_host_that_wants_to_be_left_alone_is_left_alone() -> None:
    hosts = Hosts(SystemClock())
    async with hosts.slot("site.example"):
        hosts.pause("site.example", 10**9)
    with pytest.raises(Refusal, match="left alone") as refused:
        hosts.check("site.example")
    assert refused.value.retry_after_s is not None
    assert refused.value.retry_after_s <= 300
    hosts.check("other.example")


def test_a_cache_status_says_what_happened() -> None:
    upstream = Fields((("Cache-Status", "other; hit"),))
    kept = Note(Result.HIT, ttl_s=12.9).added(upstream, "crawler-1")
    assert kept.get("cache-status") == "other; hit, crawler-1; hit; ttl=12"
    asked = Note(fwd="miss", fwd_status=200, stored=True).added(Fields(), "crawler-1")
    assert asked.get("cache-status") == "crawler-1; fwd=miss; fwd-status=200; stored"
