"""The definition itself: defaults, canonical form, hosts, overriding, JSON Schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crawler.definition import (
    for_url,
    from_data,
    from_json,
    json_schema,
    load_text,
    masked,
    override,
)
from crawler.errors import InvalidInput

SHOP = """
start_urls = ["https://shop.example/"]
[[rules]]
match = "https://shop.example/"
follow = [{ css = "nav a.category", to = "category" }]
[[rules]]
name = "category"
next = "a[rel=next]"
follow = [{ css = ".card a", to = "product", carry = { category = "h1::text" } }]
[[rules]]
name = "product"
item.name = { css = "h1::text", required = true }
item.price = { css = ".price::text", type = "decimal" }
item.category = { carry = "category" }
"""


def test_defaults_are_polite_and_otherwise_scrapys() -> None:
    given_nothing = for_url("https://shop.example/")
    assert given_nothing.download_delay == 1.0
    assert given_nothing.concurrent_requests_per_domain == 1
    assert given_nothing.concurrent_requests == 16
    assert given_nothing.robotstxt_obey is True
    assert given_nothing.retry_times == 2
    assert given_nothing.retry_http_codes == (500, 502, 503, 504, 522, 524, 408, 429)
    assert given_nothing.download_timeout == 180
    assert given_nothing.download_maxsize == 10 * 1024 * 1024
    assert given_nothing.depth_limit == given_nothing.max_pages == given_nothing.max_items == 0


def test_the_designs_shop_is_understood() -> None:
    shop = load_text(SHOP)
    front, category, product = shop.rules
    assert (front.match, front.follow[0].to) == ("https://shop.example/", "category")
    assert category.next is not None
    assert category.next.css == "a[rel=next]"
    assert category.follow[0].carry["category"].css == "h1::text"
    assert product.item["name"].required
    assert product.item["price"].type == "decimal"
    assert product.item["category"].carry == "category"


def test_canonical_is_sorted_compact_and_without_defaults() -> None:
    text = 'retry_times = 2\nstart_urls = ["https://b/"]\ndownload_delay = 2\n'
    definition = load_text(text + 'cookies = { b = "1", a = "u" }')
    assert definition.canonical() == (
        '{"cookies":{"a":"u","b":"1"},"download_delay":2.0,"start_urls":["https://b/"]}'
    )


def test_fields_of_items_keep_their_order() -> None:
    fields = ["name", "price", "category"]
    assert list(load_text(SHOP).rules[2].item) == fields
    assert list(from_json(load_text(SHOP).canonical()).rules[2].item) == fields
    assert list(override(load_text(SHOP), ["depth_limit=3"]).rules[2].item) == fields


@pytest.mark.parametrize("name", ["_url", "_rule", "_missing", "_"])
def test_fields_may_not_be_named_like_what_is_added_to_items(name: str) -> None:
    with pytest.raises(InvalidInput, match="names that begin with _") as caught:
        from_data({"start_urls": ["https://h/"], "rules": [{"match": "**", "item": {name: "p"}}]})
    assert caught.value.field == f"rules[0].item.{name}"


@pytest.mark.threat(21)
@pytest.mark.parametrize(
    "name", ["a\n", 'a"; DROP TABLE items; --', "a b", "a.b", "1a", "", "a" * 64, "a\0", "a\u2028"]
)
def test_fields_have_plain_names(name: str) -> None:
    with pytest.raises(InvalidInput):
        from_data({"start_urls": ["https://h/"], "rules": [{"match": "**", "item": {name: "h1"}}]})


def test_a_bare_selector_and_its_table_are_the_same_definition() -> None:
    table = SHOP.replace('next = "a[rel=next]"', 'next = { css = "a[rel=next]", priority = 0 }')
    assert load_text(table).canonical() == load_text(SHOP).canonical()


def test_definitions_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        for_url("https://h/").depth_limit = 3


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("closespider_pagecount", "max_pages"),
        ("closespider_itemcount", "max_items"),
        ("closespider_timeout", "max_seconds"),
    ],
)
def test_scrapys_limits_are_other_names_of_ours(alias: str, name: str) -> None:
    start: dict[str, Any] = {"start_urls": ["https://h/"]}
    definition = from_data({**start, alias: 7})
    assert getattr(definition, name) == 7
    assert definition == from_data({**start, name: 7})
    with pytest.raises(InvalidInput, match="keep one of them") as caught:
        from_data({**start, alias: 7, name: 7})
    assert caught.value.field == alias


def test_hosts_are_those_of_the_start_urls_once_each() -> None:
    urls = [
        "https://B.example:443/",
        "http://a.example:8080/x",
        "https://b.example/y",
        "http://ü.example",
    ]
    hosts = from_data({"start_urls": urls}).hosts()
    assert hosts == ("b.example", "a.example:8080", "xn--tda.example")


def test_domains_are_spelled_as_in_urls() -> None:
    names = ["Bücher.Example", "127.0.0.1", "[::1]", "::1"]
    definition = from_data({"start_urls": ["https://h/"], "allowed_domains": names})
    assert definition.allowed_domains == ("xn--bcher-kva.example", "127.0.0.1", "[::1]", "[::1]")


def test_settings_from_a_command_line_stand_above_the_file() -> None:
    shop = load_text(SHOP)
    changed = override(
        shop,
        [
            "download_delay=0.5",
            "user_agent=my bot",
            "closespider_pagecount=5",
            "retry_http_codes=[500]",
        ],
    )
    assert (changed.download_delay, changed.user_agent, changed.max_pages) == (0.5, "my bot", 5)
    assert changed.retry_http_codes == (500,)
    assert changed.rules == shop.rules
    assert override(changed, ["max_pages=6"]).max_pages == 6


@pytest.mark.threat(24)
def test_credentials_are_masked_where_a_definition_is_shown() -> None:
    given: dict[str, Any] = {
        "start_urls": ["https://shop.example/"],
        "headers": {"authorization": "Bearer q7", "X-Api-Key": "q7", "Accept-Language": "de"},
        "cookies": {"session": "q7"},
    }
    shown = masked(json.loads(from_data(given).canonical()))
    assert shown["headers"] == {"authorization": "***", "X-Api-Key": "***", "Accept-Language": "de"}
    assert shown["cookies"] == {"session": "***"}
    assert given["cookies"] == {"session": "q7"}
    assert masked({"headers": 7, "cookies": None}) == {"headers": 7, "cookies": None}


@pytest.mark.threat(24)
def test_secrets_that_requests_send_are_masked_and_not_repeated() -> None:
    form = {"user": "me", "password": "q7", "csrf_token": "{t}"}
    follow = {"css": "form", "carry": {"t": "input"}, "form": form}
    login = {"css": "a", "json": {"login": {"api_key": "q7", "n": [{"token": 5}]}, "name": "x"}}
    rules = [{"match": "**", "follow": [follow, login, "a"]}]
    shown = masked(
        json.loads(from_data({"start_urls": ["https://h/"], "rules": rules}).canonical())
    )
    assert "q7" not in str(shown)
    first, second, _ = shown["rules"][0]["follow"]
    assert first["form"] == {"user": "me", "password": "***", "csrf_token": "{t}"}
    assert second["json_body"] == {
        "login": {"api_key": "***", "n": [{"token": "***"}]},
        "name": "x",
    }


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"form": {"password": "***"}}, "write it out"),
        ({"json": ["***"]}, "write it out"),
        ({"form": {"password": "q7{"}}, "a lone {"),
        ({"form": {"a": ["q7"]}}, "must be a string"),
        ({"json": ["{q7"]}, "a lone {"),
    ],
)
def test_a_refused_body_is_not_repeated(body: dict[str, Any], said: str) -> None:
    rule = {"match": "**", "follow": [{"css": "a", **body}]}
    with pytest.raises(InvalidInput, match=said) as caught:
        from_data({"start_urls": ["https://h/"], "rules": [rule]})
    assert "q7" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://me:q7@a b/", "https://me:q7@[::x]/", "ftp://me:q7@a/", "https://me:q7@a/"]
)
def test_a_refused_url_is_repeated_without_its_password(url: str) -> None:
    for field in ("start_urls", "allowed_domains"):
        with pytest.raises(InvalidInput) as caught:
            from_data({"start_urls": ["https://shop.example/"], field: [url]})
        assert "q7" not in str(caught.value)


@pytest.mark.parametrize("field", ["headers", "cookies"])
def test_a_mask_does_not_become_the_credential(field: str) -> None:
    with pytest.raises(InvalidInput, match="only how it is shown"):
        from_data({"start_urls": ["https://shop.example/"], field: {"Authorization": "***"}})


@pytest.mark.parametrize(
    ("setting", "field"),
    [("depth_limit=x", "depth_limit"), ("nope=1", "nope"), ("depth_limit", ""), ("=1", "")],
)
def test_wrong_settings_are_named(setting: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        override(load_text(SHOP), [setting])
    assert caught.value.field == field


def test_a_bare_url_must_be_one() -> None:
    with pytest.raises(InvalidInput, match="absolute URL"):
        for_url("shop.example")


def test_json_schema_describes_what_is_accepted() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    beginnings = ("start_urls", "sitemaps", "spider")
    assert schema["anyOf"] == [{"required": [name]} for name in beginnings]
    assert {"download_delay", "closespider_timeout", "rules"} <= set(schema["properties"])
    follow = schema["$defs"]["Rule"]["properties"]["follow"]["items"]
    assert {"type": "string"} in follow["anyOf"]
    assert schema["properties"]["concurrent_requests"]["maximum"] == 1024
    assert json.loads(json.dumps(schema)) == schema


def test_a_crawl_needs_start_urls_or_sitemaps() -> None:
    sitemaps = ["https://shop.example/sitemap.xml"]
    assert from_data({"sitemaps": sitemaps}).hosts() == ("shop.example",)
    with pytest.raises(InvalidInput, match=r"start_urls: is missing.*or in sitemaps"):
        from_data({"max_pages": 1})
    with pytest.raises(InvalidInput, match=r"sitemaps_from_robots: needs start_urls"):
        from_data({"sitemaps": sitemaps, "sitemaps_from_robots": True})
    with pytest.raises(InvalidInput, match=r"sitemaps\[0\]: must be an absolute URL"):
        from_data({"sitemaps": ["/sitemap.xml"]})


def test_traps_are_a_table_or_false() -> None:
    start = {"start_urls": ["https://shop.example/"]}
    assert from_data({**start, "traps": True}) == from_data(start)
    off = from_data({**start, "traps": False}).traps
    assert not off.any()
    assert not off.session_ids
    assert from_data({**start, "traps": {"path_segments": 9}}).traps.repeated_segments == 3
    assert from_json(from_data({**start, "traps": False}).canonical()).traps == off
    with pytest.raises(InvalidInput, match=r"traps.segments: unknown field, did you mean path_seg"):
        from_data({**start, "traps": {"segments": 9}})
    with pytest.raises(InvalidInput, match=r"traps: must be a table"):
        from_data({**start, "traps": 3})


@pytest.mark.parametrize("name", ["", "a=b", "a&b", "a b", "\u00fc", "#"])
def test_names_of_parameters_are_as_urls_spell_them(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"drop_query\[0\]: must be the name of a parameter"):
        from_data({"start_urls": ["https://shop.example/"], "drop_query": [name]})


def test_words_are_checked() -> None:
    with pytest.raises(InvalidInput, match=r"nofollow: must be 'obey' or 'ignore'"):
        from_data({"start_urls": ["https://shop.example/"], "nofollow": False})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"max_interval": "1h"}, "recrawl: max_interval needs a min_interval"),
        ({"min_interval": "1h", "conditional": False}, "recrawl: min_interval needs conditional"),
        ({"min_interval": "2d", "max_interval": "1d"}, r"recrawl: max_interval \(1d\) is below"),
        ({"min_interval": "31d"}, r"recrawl: max_interval \(30d\) is below"),
        ({"min_interval": "soon"}, "recrawl.min_interval: must be a time like"),
        ({"conditional": 1}, "recrawl.conditional: must be true or false"),
        ({"interval": "1h"}, "recrawl.interval: unknown field, did you mean min_interval"),
    ],
)
def test_a_recrawl_is_refused_with_the_reason(table: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        from_data({"start_urls": ["https://shop.example/"], "recrawl": table})


def test_a_recrawl_has_intervals_in_seconds() -> None:
    def of(**table: object) -> tuple[float, float]:
        made = from_data({"start_urls": ["https://shop.example/"], "recrawl": table}).recrawl
        return made.min_s, made.max_s

    assert of() == (0.0, 30 * 86_400.0)
    assert of(min_interval=90, max_interval="1d12h") == (90.0, 129_600.0)


@pytest.mark.parametrize(
    "more",
    [
        {"download_delay": 9.0},
        {"max_pages": 7},
        {"schedule": "every 6h"},
        {"recrawl": {"min_interval": "1h"}},
        {"limits": [{"events": 1, "per": 2}]},
        {"keep_runs": 9, "keep_pages": 8, "keep_events": 7},
    ],
)
def test_recipes_do_not_depend_on_how_fast_or_often_or_on_how_long_runs_are_kept(
    more: dict[str, object],
) -> None:
    start = {"start_urls": ["https://shop.example/"]}
    assert from_data(start).recipe() == from_data({**start, **more}).recipe() != ""


@pytest.mark.parametrize(
    "more",
    [
        {"rules": [{"match": "**", "item": {"a": "h1"}}]},
        {"depth_limit": 3},
        {"headers": {"X-Key": "1"}},
        {"drop_query": ["ref"]},
        {"sinks": [{"name": "s", "kind": "file", "path": "items.jsonl"}]},
        {"recrawl": {"conditional": False}},
    ],
)
def test_recipes_depend_on_what_is_found_and_who_is_told(more: dict[str, object]) -> None:
    start = {"start_urls": ["https://shop.example/"]}
    assert from_data(start).recipe() != from_data({**start, **more}).recipe()


def test_a_crawl_that_begins_anew_each_time_has_no_recipe() -> None:
    start = {"start_urls": ["https://shop.example/"]}
    assert from_data({**start, "recrawl": {"conditional": False}}).recipe() == ""
    assert from_data({**start, "spider": "shop"}).recipe() == ""
