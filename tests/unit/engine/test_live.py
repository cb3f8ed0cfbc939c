"""Figures of a running crawl: of the last seconds, not of all time."""

from __future__ import annotations

from crawler.engine.live import Latency


def test_latency_is_the_average_of_the_latest_answers() -> None:
    latency = Latency()
    assert latency.mean_s(0.0) == 0.0
    latency.add(0.0, 4.0)
    latency.add(8.0, 1.0)
    latency.add(9.0, 2.0)
    assert latency.mean_s(9.0) == 7.0 / 3
    assert latency.mean_s(12.0) == 1.5
    assert latency.mean_s(60.0) == 0.0
