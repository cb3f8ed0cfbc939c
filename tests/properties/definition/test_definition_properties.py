"""Any definition survives the wire, and whatever is none is refused in our words."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.definition import Definition, from_data, from_json, load_text
from crawler.errors import InvalidInput

labels = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
selections = st.sampled_from(
    [{"css": "h1::text"}, {"xpath": "//a/@href"}, {"re": "id=(\\d+)"}, {"css": ".p", "re": "\\d+"}]
)
links = st.one_of(st.just("a"), selections)


def with_options(base: st.SearchStrategy[Any], **options: st.SearchStrategy[Any]) -> Any:
    return st.tuples(base, st.fixed_dictionaries({}, optional=options)).map(
        lambda pair: {**pair[0], **pair[1]}
    )


fields = st.one_of(
    st.just("h1"),
    with_options(selections, many=st.booleans(), required=st.booleans()),
    with_options(selections.map(lambda s: {**s, "type": "int"}), default=st.integers(-9, 9)),
    with_options(st.just({"jsonld": "a.b"}), default=st.one_of(st.text("aé "), st.booleans())),
)
rules = st.fixed_dictionaries(
    {"match": st.sampled_from(["**", "https://h/*", "re:x"])},
    optional={
        "next": links,
        "follow": st.lists(
            st.one_of(
                st.just("a"),
                with_options(
                    selections,
                    priority=st.integers(-5, 5),
                    carry=st.dictionaries(
                        labels, fields.filter(lambda f: "required" not in f), max_size=2
                    ),
                ),
            ),
            max_size=3,
        ),
        "item": st.dictionaries(
            labels.filter(lambda name: not name.startswith("_")), fields, max_size=4
        ),
    },
)
definitions = st.fixed_dictionaries(
    {"start_urls": st.lists(st.sampled_from(["https://h/", "http://ü.example/ä?b=1"]), min_size=1)},
    optional={
        "depth_limit": st.integers(0, 100),
        "download_delay": st.one_of(st.integers(0, 9), st.floats(0, 10)),
        "robotstxt_obey": st.booleans(),
        "headers": st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.text("ab ", max_size=5)),
        "max_seconds": st.floats(0, 1e6),
        "retry_http_codes": st.lists(st.integers(100, 599), max_size=4),
        "rules": st.lists(rules, max_size=3),
    },
)


@settings(max_examples=60)
@given(definitions)
def test_any_definition_survives_the_wire(data: dict[str, Any]) -> None:
    definition = from_data(data)
    text = definition.canonical()
    again = from_json(text)
    assert isinstance(again, Definition)
    assert again == definition
    assert again.canonical() == text
    assert load_text(text) == definition


@settings(max_examples=150)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["start_urls", "rules", "match", "item", "css", "headers", "x"]),
                inner,
                max_size=3,
            ),
        ),
        max_leaves=8,
    )
)
def test_any_json_is_a_definition_or_refused_in_our_words(data: Any) -> None:
    with suppress(InvalidInput):
        from_json(json.dumps(data))
