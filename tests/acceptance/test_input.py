"""Bad input: a 4xx that names the field, never a traceback, nothing half-stored."""

from __future__ import annotations

import io
import json

import aiohttp

from tests.acceptance.cluster import Cluster

GOOD = {"start_urls": ["https://example.com/"]}
BODIES: list[tuple[str, str, str, int, str]] = [
    ("POST", "", "{", 400, ""),
    ("POST", "", "[]", 400, ""),
    ("POST", "", "null", 400, ""),
    ("POST", "", '"name"', 400, ""),
    ("POST", "", '{"name": 7}', 400, "name"),
    ("POST", "", '{"name": ""}', 400, "name"),
    ("POST", "", '{"name": "a/b"}', 400, "name"),
    ("POST", "", '{"name": "election"}', 400, "name"),
    ("POST", "", '{"name": "a", "colour": 1}', 400, "colour"),
    ("POST", "", '{"name": "a\\nlevel=error"}', 400, "name"),
    ("POST", "", '{"name": "' + "x" * 129 + '"}', 400, "name"),
    ("POST", "", '{"id": "1"}', 400, "name"),
    ("POST", "", '{"name": "a", "definition": {"start_urls": "no list"}}', 400, "start_urls"),
    ("POST", "", '{"name": "a", "definition": {}}', 400, "start_urls"),
    ("POST", "", "[" * 100_000, 400, ""),
    ("POST", "", "x" * 10_000_000, 413, ""),
    ("PUT", "/a", json.dumps({**GOOD, "download_delay": -1}), 400, "download_delay"),
    ("PUT", "/a", json.dumps({**GOOD, "download_delay": 1e300}), 400, "download_delay"),
    ("PUT", "/a", json.dumps({**GOOD, "downlod_delay": 1}), 400, "downlod_delay"),
    ("PUT", "/a", json.dumps({**GOOD, "depth_limit": "deep"}), 400, "depth_limit"),
    ("PUT", "/a", json.dumps({**GOOD, "start_urls": ["ftp://x/"]}), 400, "start_urls"),
    ("PUT", "/a", json.dumps({**GOOD, "rules": [{"match": "re:("}]}), 400, "match"),
    ("PUT", "/a", json.dumps({**GOOD, "rules": [{"item": {"a": "h1[["}}]}), 400, "item"),
    (
        "PUT",
        "/a",
        json.dumps({**GOOD, "rules": [{"follow": [{"css": "a", "to": "x"}]}]}),
        400,
        "to",
    ),
    ("DELETE", "", '{"name": "never-added"}', 404, ""),
    ("DELETE", "", "{}", 400, "name"),
    ("POST", "/never-added/pause", "", 404, ""),
    ("POST", "/never-added/explode", "", 404, ""),
    ("GET", "/never-added", "", 404, ""),
    ("PATCH", "/a", "{}", 405, ""),
]


async def test_bad_input_is_named_and_leaves_nothing(cluster: Cluster) -> None:
    master = cluster.start_master("1")
    await cluster.wait_leader()
    async with cluster.client() as etcd:
        before = (await etcd.range("/crawler/definitions/")).kvs
        assert before == (await etcd.range("/crawler/desired/")).kvs == ()
    async with aiohttp.ClientSession() as session:
        for method, path, text, expected, field in BODIES:
            url = f"{cluster.url('1')}/crawler/resource{path}"
            case = f"{method} {path} {text[:80]}"
            async with session.request(method, url, data=io.BytesIO(text.encode())) as response:
                body = await response.text()
            assert response.status == expected, f"{case}: {response.status} {body[:300]}"
            answer = json.loads(body)
            assert set(answer) == {"code", "message", "details"}, case
            assert answer["message"], case
            assert field in body, f"{case}: {body[:300]}"
            assert "Traceback" not in body
    async with cluster.client() as etcd:
        assert (await etcd.range("/crawler/definitions/")).kvs == ()
        assert (await etcd.range("/crawler/desired/")).kvs == ()
        stored = (await etcd.range("/resources/")).kvs
        assert all("/election/" in kv.key for kv in stored)
    assert "Traceback" not in master.text()
