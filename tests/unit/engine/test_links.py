"""Links are resolved and sent at most once, and only those in scope."""

from __future__ import annotations

from dataclasses import replace

from crawler.engine.baggage import carried
from crawler.engine.links import LinkFilter
from crawler.engine.sitemaps import SITEMAP
from crawler.engine.urls import Scope, canonical, fingerprint, host_of
from crawler.engine.urls.memory import TURNED_AWAY, Memory, Recent
from crawler.model import Request
from tests.unit.engine.site import Link
from tests.unit.engine.world import A, definition


def request(url: str, depth: int = 0) -> Request:
    url = canonical(url)
    return Request(fingerprint("GET", url), url, host_of(url), depth=depth)


def links(*urls: str) -> list[Link]:
    return [Link(url) for url in urls]


def test_each_url_is_sent_once_whatever_its_spelling() -> None:
    known = LinkFilter(Scope(definition()), 0)
    page = request(f"{A}/")
    known.note(page)
    found = known.sort(page, None, links(f"{A}/x", f"{A}/x#y", f"{A}/./x", f"{A}:443/x", f"{A}"))
    assert [link.url for link in found.links] == [f"{A}/x"]
    assert (found.links[0].depth, found.links[0].parent) == (1, page.fingerprint)
    assert not known.sort(page, None, links(f"{A}/x", f"{A}/x#z")).links


def test_a_shorter_way_to_an_excluded_page_is_told() -> None:
    known = LinkFilter(Scope(definition()), 2)
    deep = known.sort(request(f"{A}/a", depth=2), None, links(f"{A}/x"))
    assert [reason for _, reason in deep.excluded] == ["depth_limit"]
    again = known.sort(request(f"{A}/b", depth=2), None, links(f"{A}/x"))
    assert not again.excluded
    shorter = known.sort(request(f"{A}/c", depth=1), None, links(f"{A}/x"))
    assert [link.depth for link in shorter.links] == [2]


def test_a_trap_is_told_once_and_is_none_where_a_sitemap_lists_it() -> None:
    judged: list[str] = []

    def judge(url: str) -> str:
        judged.append(url)
        return "trap: x" if url.endswith("x") else ""

    known = LinkFilter(Scope(definition()), 0, judge=judge)
    found = known.sort(request(f"{A}/"), None, links(f"{A}/x", f"{A}/x#1", f"{A}/y", f"{A}/y#1"))
    assert [(link.url, reason) for link, reason in found.excluded] == [(f"{A}/x", "trap: x")]
    assert not known.sort(request(f"{A}/z"), None, links(f"{A}/x", f"{A}/y")).excluded
    assert judged == [f"{A}/x", f"{A}/y"]
    sitemap = replace(request(f"{A}/map"), rule=SITEMAP)
    assert [link.url for link in known.sort(sitemap, None, links(f"{A}/x")).links] == [f"{A}/x"]


def test_a_grown_scope_is_looked_at_anew() -> None:
    scope = Scope(definition())
    known = LinkFilter(scope, 0)
    page = request(f"{A}/")
    assert not known.sort(page, None, links("https://b.example/")).links
    scope.adopt("b.example")
    known.rescope()
    assert known.sort(page, None, links("https://b.example/")).links


def test_what_is_forgotten_is_sent_again_not_lost() -> None:
    known = LinkFilter(Scope(definition()), 0, memory=Memory(slots=16))
    page = request(f"{A}/")
    for n in range(100):
        assert known.sort(page, None, links(f"{A}/{n}")).links
    assert known.sort(page, None, links(f"{A}/0")).links
    assert not known.sort(page, None, links(f"{A}/99")).links


def test_requests_that_differ_in_what_they_send_are_different() -> None:
    known = LinkFilter(Scope(definition()), 1)
    page = request(f"{A}/")
    sent = [
        Link(f"{A}/s"),
        Link(f"{A}/s", method="POST"),
        Link(f"{A}/s", method="POST", body=b"a=1"),
        Link(f"{A}/s#x", method="POST", body=b"a=1"),
        Link("https://b.example/", method="POST"),
        Link("mailto:x", method="POST"),
    ]
    found = known.sort(page, None, sent).links
    assert [(each.method, each.body) for each in found] == [
        ("GET", None),
        ("POST", None),
        ("POST", b"a=1"),
    ]
    assert len({each.fingerprint for each in found}) == 3
    assert not known.sort(page, None, sent).links
    deep = known.sort(found[2], None, [Link(f"{A}/t", method="POST", body=b"[]")])
    assert [(each.body, reason) for each, reason in deep.excluded] == [(b"[]", "depth_limit")]


def test_a_url_is_judged_once_whatever_is_sent_there_and_tidied_as_links_are() -> None:
    judged: list[str] = []

    def judge(url: str) -> str:
        judged.append(url)
        return "trap: x" if url.endswith("x") else ""

    known = LinkFilter(Scope(definition()), 0, tidy=lambda url: url.rstrip("0"), judge=judge)
    page = request(f"{A}/")
    sent = [Link(f"{A}/{at}", method="POST", body=b"%d" % n) for at in "xy" for n in range(3)]
    found = known.sort(page, None, [Link(f"{A}/y"), *sent, Link(f"{A}/z0", method="POST")])
    assert [(each.method, each.url) for each in found.links] == [
        ("GET", f"{A}/y"),
        *[("POST", f"{A}/y")] * 3,
        ("POST", f"{A}/z"),
    ]
    assert [(each.body, reason) for each, reason in found.excluded] == [
        (b"%d" % n, "trap: x") for n in range(3)
    ]
    assert judged.count(f"{A}/y") == judged.count(f"{A}/z") == 1
    again = known.sort(page, None, [*sent, Link(f"{A}/z", method="POST", body=b"1")])
    assert ([each.body for each in again.links], again.excluded) == ([b"1"], [])
    assert judged.count(f"{A}/z") == 1


def test_another_query_is_the_same_request_with_another_url() -> None:
    known = LinkFilter(Scope(definition()), 1)
    page = Request(b"p" * 16, f"{A}/s", "a.example", depth=1, method="POST", body=b"[1]")
    more = Link(f"{A}/s?page=2", method="", is_next=True)
    (following,) = known.sort(page, "list", [more], "digest").links
    assert (following.method, following.body, following.depth) == ("POST", b"[1]", 1)
    assert following.rule == "list"
    assert carried(following) == {}


def test_crawls_that_share_a_memory_do_not_mix() -> None:
    memory = Memory(slots=64)
    one, other = (LinkFilter(Scope(definition()), 0, memory=memory) for _ in range(2))
    page = request(f"{A}/")
    for known in (one, other):
        assert known.sort(page, None, links(f"{A}/x")).links
    assert not one.sort(page, None, links(f"{A}/x")).links


def test_an_item_that_goes_on_does_not_make_its_url_known() -> None:
    known = LinkFilter(Scope(definition()), 0)
    known.note(replace(request(f"{A}/x"), fingerprint=b"c" * 16))
    assert known.sort(request(f"{A}/"), None, links(f"{A}/x")).links


def test_a_memory_forgets_old_texts_for_new_ones_and_makes_none_up() -> None:
    memory = Memory(slots=1024)
    seen, other = memory.view(), memory.view()
    texts = [*map(str, range(4000)), "ü", "\udc80"]
    for text in texts:
        assert text not in seen
        seen.add(text)
        assert text in seen
    assert 900 < sum(text in seen for text in texts) <= 1028
    assert not any(text in other for text in texts)


def test_what_a_memory_keeps_whole_is_bounded_and_has_its_turn() -> None:
    memory = Memory(slots=64 * 64)
    seen, some, others = memory.view(), [*map(str, range(64))], [*map(str, range(64, 128))]
    for text in some + others:
        seen.add(text)
    for _ in range(TURNED_AWAY):
        assert all(seen.holding(some if not memory.recent else others))
        assert set(memory.recent) == set(some), "what came first stays"
    assert all(seen.holding(others))
    assert not memory.recent, "but not for ever"
    assert seen.holding([*others, "never"]) == [True] * 64 + [False]
    assert set(memory.recent) == set(others)


def test_a_memory_keeps_no_long_text_whole() -> None:
    memory = Memory()
    seen, long = memory.view(), "x" * 1000
    seen.add(long)
    assert long in seen
    assert not memory.recent


def test_recent_remembers_what_is_used_and_stays_small() -> None:
    recent: Recent[int] = Recent(100)
    for n in range(10_000):
        recent.add(n)
        assert 0 in recent
        assert len(recent) <= 100
    assert 9_999 in recent
    assert 5_000 not in recent
