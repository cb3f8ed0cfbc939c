"""Spans, by the real SDK: what they hold, where they go on, and that they cost nothing when nobody
wants them."""

from __future__ import annotations

import aiohttp
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from crawler.telemetry.traces import record_spans, send_spans, span, traceparent
from tests.fakes.api import serve_api

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-1] + "0"


def recorded(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {each.name: each for each in exporter.get_finished_spans()}


def test_spans_nest_and_go_on_from_others() -> None:
    exporter = InMemorySpanExporter()
    with record_spans(exporter, "crawler-master", "1"):
        assert traceparent() == ""
        with span("outer", PARENT, url="https://me:secret@shop.example/", pages=2):
            assert traceparent().startswith(PARENT[:35])
            with pytest.raises(ValueError, match="x"), span("inner"):
                raise ValueError("x")
        with span("unsampled", UNSAMPLED):
            assert traceparent().endswith("-00")
    found = recorded(exporter)
    assert found.keys() == {"outer", "inner"}
    outer, inner = found["outer"], found["inner"]
    assert outer.parent is not None
    assert format(outer.parent.span_id, "016x") == PARENT.split("-")[2]
    assert inner.parent == outer.context
    assert inner.status.is_ok is False
    assert outer.attributes == {"url": "https://me:***@shop.example/", "pages": "2"}
    assert outer.resource.attributes["service.name"] == "crawler-master"


def test_only_a_share_is_recorded() -> None:
    exporter = InMemorySpanExporter()
    with record_spans(exporter, "crawler-worker", "1", share=0.0):
        with span("page"), span("fetch"):
            pass
        with span("asked for", PARENT):
            pass
    assert recorded(exporter).keys() == {"asked for"}


async def test_adding_a_resource_is_one_trace_over_http_and_grpc() -> None:
    exporter = InMemorySpanExporter()
    with record_spans(exporter, "crawler-master", "1"):
        async with serve_api() as cluster, aiohttp.ClientSession(cluster.url) as http:
            body, headers = {"name": "shop"}, {"traceparent": PARENT}
            async with http.post("/crawler/resource", json=body, headers=headers) as answer:
                assert answer.status == 200
    found = recorded(exporter)
    assert {"HTTP POST", "CrawlerMaster.AddResource"} <= found.keys()
    assert found["CrawlerMaster.AddResource"].parent is not None
    for each in found.values():
        assert each.context is not None
        assert format(each.context.trace_id, "032x") == PARENT.split("-")[1]
    http_span = found["HTTP POST"].context
    assert http_span is not None
    assert found["CrawlerMaster.AddResource"].parent.span_id == http_span.span_id


def test_off_is_off() -> None:
    with send_spans(None, "crawler-master", "1"):
        assert span("a") is span("b")
