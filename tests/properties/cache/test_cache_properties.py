"""What holds of a cache's decisions, whatever headers say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crawler.cache.answers import Stored, asked_for, pick
from crawler.cache.changes import freshened
from crawler.cache.fields import Fields, date_text, directives, http_date
from crawler.cache.freshness import age_s, lifetime
from crawler.cache.reuse import Use, judge
from crawler.cache.selecting import select
from crawler.cache.storing import why_not

NOW = 1_800_000_000.0
seconds = st.integers(0, 10**7)
text = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
words = st.sampled_from(
    (
        *("max-age=60", "s-maxage=9", "max-stale", "min-fresh=3", "no-cache", "no-store"),
        *("must-revalidate", "stale-while-revalidate=50", "public", "private", "max-age=x"),
        *('"', ",", 'x="a,b'),
    )
)
controls = st.lists(words, max_size=5).map(", ".join) | text
names = st.sampled_from(
    (
        *("Cache-Control", "Expires", "Date", "Age", "Last-Modified", "ETag", "Vary", "Range"),
        *("If-None-Match", "If-Modified-Since", "If-Range", "Pragma", "Accept"),
    )
)
heads = st.lists(
    st.tuples(names, controls | seconds.map(lambda at: date_text(NOW - at))), max_size=6
)
fields = heads.map(lambda pairs: Fields(tuple(pairs)))


@st.composite
def answers(draw: st.DrawFn) -> Stored:
    came_at = NOW - draw(seconds)
    return Stored(
        "http://a/",
        draw(st.sampled_from([200, 301, 404, 500])),
        draw(fields),
        draw(fields),
        came_at - draw(st.integers(0, 100)),
        came_at,
        "",
        draw(st.integers(0, 1000)),
    )


@given(answers(), fields, st.integers(-1000, 10**8))
def test_nothing_that_headers_say_breaks_a_decision(
    stored: Stored, request: Fields, later: int
) -> None:
    now = NOW + later
    judged = judge(request, stored, now)
    assert age_s(stored, now) >= 0
    assert lifetime(stored.status, stored.fields, stored.came_at).seconds >= 0
    if judged.use is Use.SERVE:
        assert judged.left_s > 0
        assert "no-cache" not in directives(stored.fields)
    why_not("GET", request, stored.status, stored.fields, stored.came_at)
    pick([stored], request)


@given(answers(), fields)
def test_what_is_sent_is_within_the_body(stored: Stored, request: Fields) -> None:
    chosen = select(request, stored)
    assert 0 <= chosen.start <= chosen.end <= stored.size
    if chosen.status != 304:
        assert chosen.fields.get("content-length") == str(chosen.end - chosen.start)


@given(answers(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_an_answer_only_gets_older(stored: Stored, sooner: int, more: int) -> None:
    assert age_s(stored, NOW + sooner) <= age_s(stored, NOW + sooner + more)


@given(fields, fields)
def test_the_request_that_brought_an_answer_selects_it(request: Fields, answer: Fields) -> None:
    stored = Stored("http://a/", 200, answer, asked_for(request, answer), NOW, NOW, "", 0)
    if "*" not in answer.get("vary"):
        assert pick([stored], request) is stored


@given(answers(), fields)
def test_what_was_just_confirmed_is_as_old_as_the_confirmation(
    stored: Stored, news: Fields
) -> None:
    fresh = freshened(stored, news.plus(("Date", date_text(NOW))), NOW, NOW)
    said = news.without(frozenset({"date"}))
    if "age" not in said and "date" not in news:
        assert age_s(fresh, NOW) == 0


@given(st.integers(0, 4_000_000_000))
def test_a_date_is_read_as_it_was_written(at: int) -> None:
    assert http_date(date_text(at), NOW) == at
