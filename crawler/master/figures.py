"""The cluster in figures, as a master knows it when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crawler.master.listing import Listing, Wanted
from crawler.master.master import Master
from crawler.model import State


class Figures(Collector):
    """Every master tells the same of resources and nodes; whether it leads, each of itself."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._listing = Listing()

    def describe(self) -> Iterator[Metric]:
        """Without a look at the cluster."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        catalog = self._master.catalog
        leads = int(self._master.leading() is not None)
        yield GaugeMetricFamily("crawler_leader", "1 while this master leads.", leads)
        live = frozenset(catalog.workers)
        totals = self._listing.page(catalog.entries, live, Wanted(limit=1)).totals
        resources = GaugeMetricFamily(
            "crawler_resources", "Resources of the cluster, by state.", labels=["state"]
        )
        for state in State:
            resources.add_metric([state.value], totals.get(state.value, 0))
        yield resources
        nodes = GaugeMetricFamily("crawler_nodes", "Registered nodes, by role.", labels=["role"])
        nodes.add_metric(["master"], len(catalog.masters))
        nodes.add_metric(["worker"], len(live))
        yield nodes
        troubled = sum(1 for load in catalog.loads.values() if load.trouble)
        yield GaugeMetricFamily(
            "crawler_troubled_workers", "Workers that something keeps from their work.", troubled
        )
