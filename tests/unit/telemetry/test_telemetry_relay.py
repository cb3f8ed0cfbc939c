"""What children have counted is told by their worker, and no sum ever falls."""

from __future__ import annotations

import json

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from crawler.telemetry.relay import Relay, families_of


class Source:
    """A process that counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.pages = Counter("pages", "Pages.", ["state"], registry=self.registry)
        self.seconds = Histogram("s", "Seconds.", buckets=(1.0, 2.0), registry=self.registry)

    def tell(self, relay: Relay) -> None:
        relay.hear(self, json.loads(json.dumps(families_of(self.registry))))


def told(relay: Relay) -> str:
    registry = CollectorRegistry()
    registry.register(relay)
    return generate_latest(registry).decode()


def test_sums_over_sources_and_over_deaths() -> None:
    relay, one, two = Relay(), Source(), Source()
    assert told(relay) == ""
    one.pages.labels(state="done").inc(2)
    one.pages.labels(state="failed").inc()
    two.pages.labels(state="done").inc(3)
    two.seconds.observe(1.5)
    one.tell(relay)
    two.tell(relay)
    two.tell(relay)  # the same again adds nothing
    text = told(relay)
    assert 'pages_total{state="done"} 5.0' in text
    assert 'pages_total{state="failed"} 1.0' in text
    assert 's_bucket{le="2.0"} 1.0' in text
    assert "s_sum 1.5" in text
    assert "# TYPE s histogram" in text
    assert "_created" not in text
    relay.bury(one)
    relay.bury(one)
    assert told(relay).count('pages_total{state="done"} 5.0') == 1
    successor = Source()
    successor.pages.labels(state="done").inc()
    successor.tell(relay)
    assert 'pages_total{state="done"} 6.0' in told(relay)
