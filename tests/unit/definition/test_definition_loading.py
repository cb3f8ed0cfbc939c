"""Loading: what is refused says which field, in which line, and what would be right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crawler.definition import from_data, from_json, load_text
from crawler.errors import InvalidInput, TooLarge

EXAMPLES = sorted((Path(__file__).parents[3] / "etc" / "examples").glob("*.toml"))
START = 'start_urls = ["https://shop.example/"]\n'
RULE = START + '[[rules]]\nmatch = "**"\n'


def refused(text: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        load_text(text, source="shop.toml")
    return caught.value


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_loads_and_survives_the_wire(path: Path) -> None:
    definition = load_text(path.read_text(), source=path.name)
    assert from_json(definition.canonical()) == definition


def test_the_examples_are_there() -> None:
    named = {
        "api",
        "articles",
        "bare",
        "docs",
        "feed",
        "frontpage",
        "list",
        "members",
        "news",
        "shop",
    }
    assert named <= {path.stem for path in EXAMPLES}


def test_json_and_toml_say_the_same() -> None:
    toml = load_text(RULE + 'next = "a[rel=next]"\nitem.name = "h1"\n')
    data = {
        "start_urls": ["https://shop.example/"],
        "rules": [{"match": "**", "next": {"css": "a[rel=next]"}, "item": {"name": "h1"}}],
    }
    assert load_text("\ufeff  " + json.dumps(data, indent=2)) == toml == from_data(data)


@pytest.mark.parametrize(
    ("line", "field", "said"),
    [
        ("download_dealy = 3", "download_dealy", "did you mean download_delay?"),
        ("DOWNLOAD_DELAY = 3", "DOWNLOAD_DELAY", "did you mean download_delay?"),
        ("depth_limit = -1", "depth_limit", "must be at least 0 (got -1)"),
        ("depth_limit = 1.5", "depth_limit", "must be a whole number (got 1.5)"),
        ("depth_limit = true", "depth_limit", "must be a whole number"),
        ("depth_limit = '3'", "depth_limit", "must be a whole number (got '3')"),
        ("concurrent_requests = 0", "concurrent_requests", "must be at least 1"),
        ("concurrent_requests = 5000", "concurrent_requests", "must be at most 1024"),
        ("download_delay = nan", "download_delay", "must be a finite number"),
        ("download_delay = -0.1", "download_delay", "must be at least 0"),
        ("download_timeout = inf", "download_timeout", "must be a finite number"),
        ("download_timeout = 0", "download_timeout", "must be at least 0.1"),
        ("download_maxsize = 10", "download_maxsize", "must be at least 1024"),
        ("max_pages = 99999999999999999999999", "max_pages", "must be at most"),
        ("closespider_itemcount = -1", "closespider_itemcount", "must be at least 0"),
        ("robotstxt_obey = 'yes'", "robotstxt_obey", "must be true or false"),
        ("retry_http_codes = [500, 99]", "retry_http_codes[1]", "must be at least 100"),
        ("retry_http_codes = 500", "retry_http_codes", "must be a list"),
        ("user_agent = ''", "user_agent", "printable ASCII"),
        ('user_agent = "a\\nb"', "user_agent", "printable ASCII"),
        ("allowed_domains = ['https://a.b/']", "allowed_domains[0]", "bare host name"),
        ("allowed_domains = ['a.b:80']", "allowed_domains[0]", "bare host name"),
        ("allowed_domains = ['*.a.b']", "allowed_domains[0]", "subdomains are included"),
        ("headers = { 'X Y' = '1' }", "headers", "is not a header name"),
        ("headers = { Cookie = '1' }", "headers", "set cookies instead"),
        ('headers = { A = "x\\r\\nB: y" }', "headers", "one line"),
        ("headers = { A = '${env:a}' }", "headers", "without being a"),
        ("headers = { A = 1 }", "headers.A", "must be a string"),
        ("cookies = { a = 'x;y' }", "cookies", "semicolons"),
        ("headers = 'X: 1'", "headers", "must be a table of names and values"),
        ("rules = { match = '**' }", "rules", "a list of tables: write [[rules]]"),
        ("auth = [{ domain = 'a.b', basic = 'me' }]", "auth[0].basic", "must be a table"),
        ("sitemaps = ['https://a.b/${secret:x}']", "sitemaps[0]", "URLs are stored and shown"),
        ("name = 'shop'", "name", "unknown field"),
    ],
)
def test_a_wrong_setting_is_named_with_its_line(line: str, field: str, said: str) -> None:
    error = refused(f"# a shop\n{START}{line}\n")
    assert error.field == field
    assert str(error).startswith(f"shop.toml:3: {field}: ")
    assert said in str(error)


@pytest.mark.parametrize(
    "name",
    [
        "sitemaps", "limits", "schedule", "store_body", "proxy_pool", "login",
        "fetcher", "kind", "each", "outage_policy",
    ],
)  # fmt: skip
def test_what_a_later_version_may_bring_is_unknown_by_name(name: str) -> None:
    assert refused(f"{START}{name} = 1\n").field == name


@pytest.mark.parametrize(
    ("text", "field", "line", "said"),
    [
        ('follow = ["a["]', "rules[0].follow[0]", 4, "is not a CSS selector"),
        ("follow = [\n  'a',\n  { css = 'b::before' },\n]", "rules[0].follow[1].css", 6, "::attr"),
        ("follow = 'a'", "rules[0].follow", 4, "must be a list"),
        ("follow = [{ to = 'x' }]", "rules[0].follow[0]", 4, "needs one of css, xpath, json"),
        ("follow = [{ css = 'a', method = 'PUT' }]", "rules[0].follow[0].method", 4, "'POST'"),
        ("next = { css = 'a', join = true }", "rules[0].next.join", 4, "the rule has no item"),
        ("next = { css = 'a', xpath = '//a' }", "rules[0].next", 4, "css and xpath"),
        ("next = { xpath = '//a[' }", "rules[0].next.xpath", 4, "is not an XPath"),
        ("next = { xpath = '//a[foo()]' }", "rules[0].next.xpath", 4, "unknown function 'foo'"),
        ("next = { query = { p = '2' } }", "rules[0].next.query.p", 4, "begins with a digit"),
        ("item = 'h1'", "rules[0].item", 4, "a table of names and values (got 'h1')"),
        ("next = { re = '(?=a)' }", "rules[0].next.re", 4, "no look-around"),
        ("next = { re = '(a)(b)' }", "rules[0].next.re", 4, "has 2 groups"),
        ("next = 5", "rules[0].next", 4, "a selector in quotes or a table"),
        ("item.'a b' = 'h1'", "rules[0].item.'a b'", 4, "letters, digits"),
        ("item.a = { css = 'h1', type = 'money' }", "rules[0].item.a.type", 4, "'decimal'"),
        ("item.a = { type = 'int' }", "rules[0].item.a", 4, "needs one of"),
        ("item.a = ''", "rules[0].item.a", 4, "is empty"),
        ("item.a = { jsonld = 'a..b' }", "rules[0].item.a.jsonld", 4, "names joined by dots"),
        ("item.a = { css = 'a', required = true, default = 'x' }", "rules[0].item.a", 4, "exclude"),
        ("item.a = { css = 'a', type = 'int', default = '5' }", "rules[0].item.a", 4, "whole"),
        ("item.a = { css = 'a', many = true, default = 'x' }", "rules[0].item.a", 4, "a list"),
        ("item.a = { css = 'a', requird = true }", "rules[0].item.a.requird", 4, "mean required?"),
        ("\n[rules.item]\nb = 'h1'\na = { css = '[' }", "rules[0].item.a.css", 7, "CSS selector"),
        ("[[rules]]\nname = 'x'\n[[rules.follow]]\ncss = '['", "rules[1].follow[0].css", 7, "CSS"),
        ("item.a = { carry = 'b' }", "rules[0].item.a.carry", 4, "no carried value 'b'"),
        ("follow = [{ css = 'a', to = 'x' }]", "rules[0].follow[0].to", 4, "no rule 'x'"),
        ("kind = 'file'\nfollow = ['a']", "rules[0].follow", 5, "only keeps them"),
        ("kind = 'file'\nitem.a = 'h1'", "rules[0].item.a", 5, 'take carry = "'),
        ("kind = 'file'\nitem.url = { carry = 'x' }", "rules[0].item.url", 5, "every file has"),
        ("[[rules]]\nitem.a = 'h1'", "rules[1]", 4, "takes no page"),
        ("[[rules]]\nmatch = '/p/*'", "rules[1].match", 5, "write https://host/path"),
        ("[[rules]]\nmatch = 're:('", "rules[1].match", 5, "is not a regular expression"),
    ],
)
def test_a_wrong_rule_is_named_with_its_line(text: str, field: str, line: int, said: str) -> None:
    error = refused(f"{RULE}{text}\n")
    assert error.field == field
    assert str(error).startswith(f"shop.toml:{line}: {field}: ")
    assert said in str(error)


def test_a_rule_named_twice_is_refused_where_it_comes_again() -> None:
    error = refused(START + "[[rules]]\nname = 'a'\n[[rules]]\nname = 'a'\n")
    assert (error.field, str(error)) == (
        "rules[1].name",
        "shop.toml:5: rules[1].name: rules[0] has this name already",
    )


def test_a_misspelt_reference_is_told_the_close_one() -> None:
    text = (
        START + "[[rules]]\nmatch='**'\nfollow=[{css='a', to='prodct'}]\n[[rules]]\nname='product'"
    )
    assert "did you mean product?" in str(refused(text))


@pytest.mark.parametrize(
    "url",
    [
        "/x",
        "shop.example",
        "ftp://x/",
        "https://",
        "https://a b/",
        "https://u:p@h/",
        "javascript:1",
    ],
)
def test_start_urls_are_absolute_http_without_credentials(url: str) -> None:
    assert refused(f"start_urls = ['{url}']").field == "start_urls[0]"


@pytest.mark.parametrize("text", ["", "start_urls = []", "{}", '{"start_urls": []}'])
def test_start_urls_are_needed(text: str) -> None:
    assert refused(text).field == "start_urls"


def test_all_problems_are_told_in_the_order_of_the_text() -> None:
    error = refused(f"{START}depth_limit = -1\nfoo = 1\nretry_times = 'x'\n")
    lines = str(error).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["depth_limit", "foo", "retry_times"]
    assert error.field == "depth_limit"


def test_secrets_are_not_repeated() -> None:
    error = refused(START + "headers = { A = \"canary\\u00e9\" }\ncookies = { a = 'canary;' }\n")
    assert "canary" not in str(error)
    assert "canary" not in str(refused(START + "headers = { A = ['canary'] }\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start_urls", "shop.toml:1: is not TOML"),
        (START + 'match = "\\d"', "shop.toml:2: is not TOML: Unescaped"),
        (START + START, "shop.toml:2: is not TOML"),
        (START + "spider = “shop”", "shop.toml:2: is not TOML: Invalid value; quotes are straight"),
        ('{"start_urls": [],\n "a" 1}', "shop.toml:2: is not JSON"),
        ('{\n"a": {"b": 1, "c": 2,\n"b": 3}}', "shop.toml:2: a.b: is given twice"),
        ("{" + START, "shop.toml:1: is not JSON"),
        (START + "x = " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "nested too deeply"),
        (START + "x = " + "[" * 300 + "]" * 300, "nested too deeply"),
        ("a." * 50_000 + "b = 1", "nested too deeply"),
        ("[" + "a." * 50_000 + "b]", "nested too deeply"),
        (START + "depth_limit = " + "9" * 5_000, "too many digits"),
        (START + "depth_limit = 0x" + "f" * 5_000, "shop.toml:2: depth_limit: has too many digits"),
        (START + "x = [{a = 0b" + "1" * 50_000 + "}]", "shop.toml:2: x[0].a: has too many digits"),
        ('{"depth_limit": ' + "9" * 5_000 + "}", "too many digits"),
    ],
)
def test_broken_texts_are_refused_in_words(text: str, said: str) -> None:
    assert said in str(refused(text))


@pytest.mark.parametrize("text", ['"\\u0000"', '"\\ud800"', '["\\ud800"]', '{"\\u0000": "a"}'])
def test_texts_that_cannot_be_stored_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="NUL characters or lone surrogates"):
        from_json('{"start_urls": ["https://h/"], "user_agent": ' + text + "}")


def test_json_that_is_no_object_is_refused() -> None:
    for text in ("5", "null", "[]", '"x"'):
        with pytest.raises(InvalidInput):
            from_json(text)


@pytest.mark.threat(23)
def test_a_definition_is_at_most_256_kb() -> None:
    filler = "#" + "x" * 99 + "\n"
    assert load_text(START + filler * 2_000).hosts() == ("shop.example",)
    with pytest.raises(TooLarge, match="256000 bytes"):
        load_text(START + filler * 3_000)
    with pytest.raises(TooLarge):
        load_text(START + "# " + "é" * 130_000)
