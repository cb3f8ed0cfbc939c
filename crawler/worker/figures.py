"""A worker in figures, as they are when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Counter
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

DEATHS = Counter("crawler_child_deaths", "Crawling processes that ended unasked.")


class Figures(Collector):
    """``crawls`` tells how many crawls there are here and how many pages are in work, ``memory``
    the resident bytes of each child, ``trouble`` what keeps the worker from its work."""

    def __init__(
        self,
        crawls: Callable[[], tuple[int, int]],
        memory: Callable[[], list[int]],
        trouble: Callable[[], str],
    ) -> None:
        self._crawls = crawls
        self._memory = memory
        self._trouble = trouble

    def collect(self) -> Iterator[Metric]:
        resources, active = self._crawls()
        memory = self._memory()
        for name, words, value in (
            ("crawler_crawls", "Crawls, or parts of them, that this worker has.", resources),
            ("crawler_pages_in_flight", "Pages that are being fetched or read.", active),
            ("crawler_children", "Crawling processes that are up.", len(memory)),
            ("crawler_children_resident_bytes", "Resident memory of all of them.", sum(memory)),
            (
                "crawler_worker_in_trouble",
                "1 while something keeps this worker from its work.",
                int(bool(self._trouble())),
            ),
        ):
            yield GaugeMetricFamily(name, words, value)
