"""What the proxy did, in figures, for Prometheus and for the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crawler.proxy.notes import Result


class Figures(Collector):
    """Counts of one proxy."""

    def __init__(self) -> None:
        self._requests: Counter[Result] = Counter()
        self.kept_answers = 0
        self.kept_bytes = 0
        self.sent_bytes = 0
        self.connections = 0

    def count(self, result: Result) -> None:
        """One more request came to this."""
        self._requests[result] += 1

    @property
    def results(self) -> Mapping[str, int]:
        """Requests by what they came to."""
        return {each.value: self._requests[each] for each in Result}

    def collect(self) -> Iterable[Metric]:
        """For the exposition."""
        requests = CounterMetricFamily(
            "crawler_proxy_requests",
            "Requests that the proxy answered, by what they came to.",
            labels=["result"],
        )
        for name, number in self.results.items():
            requests.add_metric([name], number)
        yield requests
        yield CounterMetricFamily(
            "crawler_proxy_sent_bytes", "Bytes of bodies sent to clients.", self.sent_bytes
        )
        yield GaugeMetricFamily(
            "crawler_proxy_kept_bytes", "What the cache takes on disk.", self.kept_bytes
        )
        yield GaugeMetricFamily(
            "crawler_proxy_kept_answers", "Answers that the cache holds.", self.kept_answers
        )
        yield GaugeMetricFamily(
            "crawler_proxy_connections", "Connections of clients.", self.connections
        )
