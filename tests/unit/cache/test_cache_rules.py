"""RFC 9111 as decisions: what is kept, for how long, and what is made of it for a request."""

from __future__ import annotations

import pytest

from crawler.cache.answers import Stored, asked_for, pick
from crawler.cache.changes import agrees, conditions, confirms, freshened, outdated
from crawler.cache.fields import Fields, date_text, directives, http_date, members
from crawler.cache.freshness import age_s, lifetime
from crawler.cache.reuse import Use, despite_error, judge
from crawler.cache.selecting import select
from crawler.cache.storing import may_freshen, why_not

NOW = 1_800_000_000.0
DAY = 86_400.0


def fields(**named: str) -> Fields:
    """``cache_control="max-age=1"`` is ``Cache-Control: max-age=1``."""
    return Fields(tuple((name.replace("_", "-").title(), value) for name, value in named.items()))


def stored(
    *,
    age: float = 0.0,
    status: int = 200,
    asked: Fields | None = None,
    size: int = 10,
    **named: str,
) -> Stored:
    """An answer that was made ``age`` seconds before NOW."""
    at = NOW - age
    head = fields(date=date_text(at), **named)
    return Stored("http://site.example/", status, head, asked or Fields(), at, at, "00" * 32, size)


@pytest.mark.parametrize(
    ("named", "seconds"),
    [
        ({"cache_control": "max-age=60"}, 60),
        ({"cache_control": "max-age=60, s-maxage=5"}, 5),
        ({"cache_control": 'max-age="60"'}, 60),
        ({"cache_control": "max-age=60, max-age=5"}, 60),
        ({"cache_control": "max-age=soon", "expires": date_text(NOW + 60)}, 0),
        ({"cache_control": "max-age=-1"}, 0),
        ({"cache_control": "max-age=99999999999999"}, 1 << 31),
        ({"cache_control": 'x="max-age=60", max-age=7'}, 7),
        ({"expires": date_text(NOW + 60)}, 60),
        ({"expires": "0"}, 0),
        ({"expires": date_text(NOW - 60)}, 0),
        ({"last_modified": date_text(NOW - 1000)}, 100),
        ({"last_modified": date_text(NOW - 1000 * DAY)}, DAY),
        ({"last_modified": date_text(NOW + 1000)}, 0),
        ({}, 0),
    ],
)
def test_how_long_an_answer_is_fresh(named: dict[str, str], seconds: float) -> None:
    head = fields(date=date_text(NOW), **named)
    assert lifetime(200, head, NOW).seconds == seconds


def test_no_lifetime_is_guessed_for_a_status_that_needs_one() -> None:
    head = fields(date=date_text(NOW), last_modified=date_text(NOW - 1000))
    assert lifetime(302, head, NOW).seconds == 0
    assert lifetime(302, head.plus(("Cache-Control", "public")), NOW).seconds == 100


@pytest.mark.parametrize(
    ("age", "seconds"), [("7", 17), ("7, 3", 17), ("-7", 10), ("x", 10), ("7.5", 10), ("", 10)]
)
def test_an_age_that_is_none_counts_as_absent(age: str, seconds: float) -> None:
    at = NOW - 10
    head = fields(date=date_text(at), age=age)
    assert age_s(Stored("", 200, head, Fields(), at, at, "", 0), NOW) == seconds


def test_age_counts_the_way_and_the_clock_of_the_origin() -> None:
    late = Stored("", 200, fields(date=date_text(NOW - 100)), Fields(), NOW - 5, NOW, "", 0)
    assert age_s(late, NOW) == 100
    slow = Stored("", 200, fields(date=date_text(NOW), age="50"), Fields(), NOW - 5, NOW, "", 0)
    assert age_s(slow, NOW + 1) == 56
    ahead = Stored("", 200, fields(date=date_text(NOW + 100)), Fields(), NOW, NOW, "", 0)
    assert age_s(ahead, NOW - 3) == 0


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 15 Jan 2027 08:00:00 GMT",
        "Friday, 15-Jan-27 08:00:00 GMT",
        "Fri Jan 15 08:00:00 2027",
    ],
)
def test_three_forms_of_a_date(text: str) -> None:
    assert http_date(text, NOW) == NOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "15 Jan 2027 08:00:00 GMT",
        "Fri, 15 Jan 2027 08:00:00 CET",
        "Fri, 99 Jan 2027 08:00:00 GMT",
        "Fri, 15 Jan 2027 25:00:00 GMT",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert http_date(text, NOW) is None


def test_two_digits_of_a_year_are_of_the_century_before_where_they_lie_far_ahead() -> None:
    assert http_date("Friday, 15-Jan-99 08:00:00 GMT", NOW) == http_date(
        "Fri, 15 Jan 1999 08:00:00 GMT", NOW
    )


def test_commas_in_quotes_separate_nothing() -> None:
    assert list(members(['a, "b, c" , ,d="e\\",f"'])) == ["a", '"b, c"', 'd="e\\",f"']
    assert "no-store" not in directives(fields(cache_control='private="no-store, x"'))


FRESH = "max-age=60"


@pytest.mark.parametrize(
    ("method", "request_", "status", "answer", "reason"),
    [
        ("GET", {}, 200, {"cache_control": FRESH}, ""),
        ("GET", {}, 200, {"etag": '"1"'}, ""),
        ("GET", {}, 404, {"cache_control": FRESH}, ""),
        ("GET", {}, 302, {"cache_control": FRESH}, ""),
        ("GET", {}, 299, {"cache_control": FRESH}, ""),
        ("GET", {}, 302, {"etag": '"1"'}, "status without freshness"),
        ("GET", {}, 200, {}, "never fresh and without validator"),
        ("GET", {}, 200, {"cache_control": "max-age=0"}, "never fresh and without validator"),
        ("POST", {}, 200, {"cache_control": FRESH}, "method"),
        ("HEAD", {}, 200, {"cache_control": FRESH}, "method"),
        ("GET", {}, 206, {"cache_control": FRESH}, "status"),
        ("GET", {}, 304, {"cache_control": FRESH}, "status"),
        ("GET", {}, 200, {"cache_control": f"{FRESH}, no-store"}, "no-store"),
        ("GET", {}, 200, {"cache_control": f"{FRESH}, private"}, "private"),
        ("GET", {}, 200, {"cache_control": f'{FRESH}, private="x-a"'}, "private"),
        ("GET", {}, 200, {"cache_control": FRESH, "vary": "*"}, "vary *"),
        ("GET", {}, 200, {"cache_control": f"{FRESH}, no-store, must-understand"}, ""),
        ("GET", {}, 299, {"cache_control": f"{FRESH}, must-understand"}, "must-understand"),
        ("GET", {"cache_control": "no-store"}, 200, {"cache_control": FRESH}, "request no-store"),
        ("GET", {"authorization": "x"}, 200, {"cache_control": FRESH}, "authorization"),
        ("GET", {"cookie": "a=b"}, 200, {"etag": '"1"'}, "cookies"),
        ("GET", {"cookie": "a=b"}, 200, {"etag": '"1"', "cache_control": FRESH}, ""),
        ("GET", {}, 200, {"etag": '"1"', "set_cookie": "a=b"}, "cookies"),
        ("GET", {}, 200, {"etag": '"1"', "set_cookie": "a=b", "cache_control": "public"}, ""),
        ("GET", {"x_forwarded_host": "x"}, 200, {"cache_control": FRESH}, "request elsewhere"),
        (
            *("GET", {"x_forwarded_host": "x"}, 200),
            *({"cache_control": FRESH, "vary": "X-Forwarded-Host"}, ""),
        ),
        ("GET", {"authorization": "x"}, 200, {"cache_control": f"{FRESH}, public"}, ""),
        ("GET", {"authorization": "x"}, 200, {"cache_control": "s-maxage=9"}, ""),
        ("GET", {"authorization": "x"}, 200, {"cache_control": f"{FRESH}, must-revalidate"}, ""),
    ],
)
def test_what_may_be_kept(
    method: str, request_: dict[str, str], status: int, answer: dict[str, str], reason: str
) -> None:
    assert why_not(method, fields(**request_), status, fields(**answer), NOW) == reason


@pytest.mark.parametrize(
    ("request_", "age", "answer", "use"),
    [
        ("", 30, FRESH, Use.SERVE),
        ("", 60, FRESH, Use.VALIDATE),
        ("", 30, f"{FRESH}, no-cache", Use.VALIDATE),
        ("no-cache", 30, FRESH, Use.VALIDATE),
        ("max-age=20", 30, FRESH, Use.VALIDATE),
        ("max-age=40", 30, FRESH, Use.SERVE),
        ("max-age=0", 30, FRESH, Use.VALIDATE),
        ("min-fresh=20", 30, FRESH, Use.SERVE),
        ("min-fresh=40", 30, FRESH, Use.VALIDATE),
        ("max-stale", 600, FRESH, Use.SERVE_STALE),
        ("max-stale=600", 600, FRESH, Use.SERVE_STALE),
        ("max-stale=60", 600, FRESH, Use.VALIDATE),
        ("max-stale", 600, f"{FRESH}, must-revalidate", Use.VALIDATE),
        ("max-stale", 600, f"{FRESH}, proxy-revalidate", Use.VALIDATE),
        ("max-stale", 600, "s-maxage=60", Use.VALIDATE),
        ("max-stale, max-age=100", 600, FRESH, Use.VALIDATE),
        ("", 70, f"{FRESH}, stale-while-revalidate=20", Use.SERVE_AND_RENEW),
        ("", 90, f"{FRESH}, stale-while-revalidate=20", Use.VALIDATE),
        ("no-cache", 70, f"{FRESH}, stale-while-revalidate=20", Use.VALIDATE),
        ("", 70, f"{FRESH}, stale-while-revalidate=20, must-revalidate", Use.VALIDATE),
    ],
)
def test_what_is_made_of_what_is_kept(request_: str, age: float, answer: str, use: Use) -> None:
    asked = fields(cache_control=request_) if request_ else Fields()
    assert judge(asked, stored(age=age, cache_control=answer), NOW).use is use


def test_pragma_counts_where_cache_control_is_absent() -> None:
    kept = stored(cache_control=FRESH)
    assert judge(fields(pragma="no-cache"), kept, NOW).use is Use.VALIDATE
    assert judge(fields(pragma="no-cache", cache_control="x"), kept, NOW).use is Use.SERVE


def test_a_guessed_lifetime_counts_only_for_whom_it_may() -> None:
    kept = stored(age=10, last_modified=date_text(NOW - 1000))
    assert judge(Fields(), kept, NOW).use is Use.SERVE
    assert judge(Fields(), kept, NOW, guess=False).use is Use.VALIDATE


@pytest.mark.parametrize(
    ("request_", "answer", "may"),
    [
        ("", f"{FRESH}, stale-if-error=100", True),
        ("", f"{FRESH}, stale-if-error=10", False),
        ("stale-if-error=100", FRESH, True),
        ("", FRESH, False),
        ("no-cache", f"{FRESH}, stale-if-error=100", False),
        ("", f"{FRESH}, stale-if-error=100, must-revalidate", False),
    ],
)
def test_what_is_served_where_the_origin_fails(request_: str, answer: str, may: bool) -> None:
    asked = fields(cache_control=request_) if request_ else Fields()
    assert despite_error(asked, stored(age=120, cache_control=answer), NOW) is may


def test_a_request_selects_by_what_vary_names() -> None:
    german, english = fields(accept_language="de, en"), fields(accept_language="en")
    vary = "Accept-Language, X-Other"
    chosen = asked_for(german, fields(vary=vary))
    ours = stored(asked=chosen, vary=vary)
    assert pick([ours], Fields((("ACCEPT-LANGUAGE", "de"), ("accept-language", "en")))) is ours
    assert pick([ours], english) is None
    assert pick([ours], german.plus(("X-Other", ""))) is None
    newer = stored(age=-5, asked=chosen, vary=vary)
    assert pick([ours, newer], german) is newer
    assert newer.variant == ours.variant != stored(vary="X-Other").variant != ""
    assert pick([stored(vary="*")], Fields()) is None


def test_a_304_freshens_what_it_speaks_of() -> None:
    kept = stored(age=100, etag='"1"', x_a="old", content_length="10")
    assert conditions(kept) == (("If-None-Match", '"1"'),)
    news = fields(date=date_text(NOW), etag='"1"', x_a="new", content_length="0")
    assert confirms(kept, news)
    assert not confirms(kept, fields(etag='"2"'))
    fresh = freshened(kept, news, NOW, NOW)
    assert fresh.fields.get("x-a") == "new"
    assert fresh.fields.get("content-length") == "10"
    assert age_s(fresh, NOW) == 0


@pytest.mark.parametrize(
    ("request_", "news", "may"),
    [
        ({}, {"etag": '"1"'}, True),
        ({}, {"etag": '"1"', "set_cookie": "a=b"}, False),
        ({"cookie": "a=b"}, {"etag": '"1"'}, False),
        ({"cookie": "a=b"}, {"cache_control": FRESH}, True),
        ({"authorization": "x"}, {"cache_control": FRESH}, False),
        ({}, {"cache_control": "private"}, False),
        ({"x_original_url": "/a"}, {"etag": '"1"'}, False),
    ],
)
def test_what_one_is_told_of_a_kept_page_is_not_kept_for_all(
    request_: dict[str, str], news: dict[str, str], may: bool
) -> None:
    assert may_freshen(fields(**request_), 200, fields(**news), NOW) is may


def test_a_head_that_differs_is_of_another_answer() -> None:
    kept = stored(etag='"1"')
    assert agrees(kept, fields(etag='"1"', content_length="10"))
    assert not agrees(kept, fields(etag='"2"'))
    assert not agrees(kept, fields(content_length="11"))


def test_what_a_post_makes_void() -> None:
    url = "http://site.example/a"
    led = fields(location="/b", content_location="http://other.example/c")
    assert list(outdated("POST", url, 303, led)) == [url, "http://site.example/b"]
    assert list(outdated("POST", url, 404, led)) == []
    assert list(outdated("GET", url, 200, led)) == []


@pytest.mark.parametrize(
    ("wanted", "status", "span"),
    [
        ("bytes=0-3", 206, (0, 4)),
        ("bytes=8-99", 206, (8, 10)),
        ("bytes=-3", 206, (7, 10)),
        ("bytes=-99", 206, (0, 10)),
        ("bytes=4-", 206, (4, 10)),
        ("bytes=10-", 416, (0, 0)),
        ("bytes=-0", 416, (0, 0)),
        ("bytes=5-2", 200, (0, 10)),
        ("bytes=0-1,3-4", 200, (0, 10)),
        ("lines=1-2", 200, (0, 10)),
        ("bytes=-", 200, (0, 10)),
    ],
)
def test_ranges_of_what_is_kept(wanted: str, status: int, span: tuple[int, int]) -> None:
    chosen = select(fields(range=wanted), stored())
    assert (chosen.status, (chosen.start, chosen.end)) == (status, span)


def test_a_part_is_sent_only_of_what_the_client_has() -> None:
    kept = stored(etag='"1"')
    assert select(fields(range="bytes=0-1", if_range='"1"'), kept).status == 206
    assert select(fields(range="bytes=0-1", if_range='"2"'), kept).status == 200
    assert select(fields(range="bytes=0-1", if_range='W/"1"'), kept).status == 200


def test_a_client_that_has_it_is_told_so() -> None:
    kept = stored(etag='W/"1"', last_modified=date_text(NOW - DAY), x_a="1")
    told = select(fields(if_none_match='"0", "1"'), kept)
    assert told.status == 304
    assert "x-a" not in told.fields
    assert "etag" in told.fields
    later = date_text(NOW)
    assert select(fields(if_modified_since=later), kept).status == 304
    assert select(fields(if_modified_since=later, if_none_match='"2"'), kept).status == 200
    assert select(fields(if_modified_since=date_text(NOW - 2 * DAY)), kept).status == 200
