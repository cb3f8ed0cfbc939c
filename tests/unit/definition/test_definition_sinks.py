"""What a definition may say of sinks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crawler.definition import from_data, from_json, masked, read_sinks
from crawler.errors import InvalidInput

HOOK = {"name": "hook", "kind": "webhook", "url": "https://in.example/"}
BUCKET = {
    "name": "bucket",
    "kind": "s3",
    "url": "https://s3.eu-central-1.amazonaws.com/items/daily",
    "region": "eu-central-1",
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "${secret:bucket}",
}
DISK = {"name": "disk", "kind": "file", "path": "daily/items.jsonl"}


def data(*sinks: dict[str, Any]) -> dict[str, Any]:
    return {"start_urls": ["https://shop.example/"], "sinks": list(sinks)}


def test_sinks_survive_the_wire_and_are_read_alone() -> None:
    definition = from_data(data(HOOK, {**DISK, "batch": 7}, BUCKET))
    assert from_json(definition.canonical()) == definition
    sinks = read_sinks(json.dumps(json.loads(definition.canonical())["sinks"]))
    assert list(sinks.values()) == list(definition.sinks)
    assert sinks["disk"].batch == 7


def test_what_a_newer_program_wrote_is_no_sink_here() -> None:
    assert read_sinks('[{"name":"x","kind":"pigeon"}]') == {}
    assert read_sinks("nonsense") == {}


@pytest.mark.threat(20)
@pytest.mark.parametrize(
    ("sink", "field", "words"),
    [
        ({"name": "x", "kind": "webhook"}, "sinks[0]", "webhook needs url"),
        ({**DISK, "url": "https://in.example/"}, "sinks[0]", "file has no url"),
        ({**DISK, "headers": {"A": "b"}}, "sinks[0]", "file has no headers"),
        ({**HOOK, "path": "a"}, "sinks[0]", "webhook has no path"),
        ({**HOOK, "region": "eu-central-1"}, "sinks[0]", "webhook has no region"),
        ({"name": "x", "kind": "s3"}, "sinks[0]", "s3 needs url, region, access_key_id, secret_"),
        (
            {**BUCKET, "secret_access_key": "in clear"},
            "sinks[0].secret_access_key",
            "a secret of the workers",
        ),
        ({**BUCKET, "url": "https://s3.example/"}, "sinks[0]", "must name a bucket"),
        ({**BUCKET, "url": "https://s3.example/b?acl"}, "sinks[0]", "must name a bucket"),
        ({**BUCKET, "region": "eu central"}, "sinks[0].region", ""),
        ({**HOOK, "url": "ftp://in.example/"}, "sinks[0].url", "absolute URL"),
        ({**HOOK, "url": "https://u:p@in.example/"}, "sinks[0].url", "user name or password"),
        ({**HOOK, "headers": {"A": "${secret:}"}}, "sinks[0].headers", "${secret:NAME}"),
        ({**HOOK, "headers": {"Host": "x"}}, "sinks[0].headers", "follows from the URL"),
        ({**HOOK, "batch": 0}, "sinks[0].batch", ""),
        ({**HOOK, "batch": 1001}, "sinks[0].batch", ""),
        ({**HOOK, "name": "a b"}, "sinks[0].name", ""),
        ({**DISK, "path": "/etc/passwd"}, "sinks[0].path", "below"),
        ({**DISK, "path": "../x"}, "sinks[0].path", "below"),
        ({**DISK, "path": "a/../../x"}, "sinks[0].path", "below"),
        ({**DISK, "path": ".hidden"}, "sinks[0].path", "below"),
        ({**DISK, "path": "a//b"}, "sinks[0].path", "below"),
        ({**DISK, "path": "a\0b"}, "sinks[0].path", "NUL"),
        ({**DISK, "path": "a/b/c/d/e/f"}, "sinks[0].path", "at most 5"),
    ],
)
def test_refusals_name_the_field_and_the_way_out(
    sink: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        from_data(data(sink))
    assert refused.value.field.startswith(field)
    assert words in str(refused.value)


def test_two_sinks_have_two_names() -> None:
    with pytest.raises(InvalidInput, match="has this name already") as refused:
        from_data(data(HOOK, {**DISK, "name": "hook"}))
    assert refused.value.field == "sinks[1].name"


def test_secret_headers_of_sinks_are_masked() -> None:
    given = from_data(
        data({**HOOK, "headers": {"Authorization": "s3cret", "X-Source": "us"}}, DISK)
    )
    shown = masked(json.loads(given.canonical()))
    assert shown["sinks"][0]["headers"] == {"Authorization": "***", "X-Source": "us"}
    assert masked({"sinks": 7}) == {"sinks": 7}
    assert masked({"sinks": [7]}) == {"sinks": [7]}
