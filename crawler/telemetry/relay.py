"""Figures of other processes of ours, told as if this one had counted them: a worker has children,
and one address that Prometheus asks."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

# name, type, help, and of each sample its name, labels and value: what JSON can carry
Family = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]


def families_of(registry: CollectorRegistry) -> list[Family]:
    """All that was counted there. When it was begun to be counted is left out."""
    return [
        (
            each.name,
            each.type,
            each.documentation,
            [(s.name, s.labels, s.value) for s in each.samples if not _is_birth(s)],
        )
        for each in registry.collect()
    ]


def _is_birth(sample: Sample) -> bool:
    return sample.name.endswith("_created")


class Relay(Collector):
    """Sums over all sources; those that are gone count on, so that no sum ever falls."""

    def __init__(self) -> None:
        self._told: dict[Hashable, list[Family]] = {}
        self._gone: list[Family] = []

    def hear(self, source: Hashable, families: Iterable[Family]) -> None:
        """What ``source`` has counted since it began."""
        self._told[source] = list(families)

    def bury(self, source: Hashable) -> None:
        """It tells no more."""
        self._gone = list(_sum([self._gone, self._told.pop(source, [])]))

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on what will be heard."""
        return ()

    def collect(self) -> Iterator[Metric]:
        for name, kind, words, samples in _sum([self._gone, *self._told.values()]):
            metric = Metric(name, words, kind)
            for each in samples:
                metric.add_sample(*each)
            yield metric


def _sum(told: Iterable[Iterable[Family]]) -> Iterator[Family]:
    heads: dict[str, tuple[str, str]] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for families in told:
        for name, kind, words, samples in families:
            heads[name] = kind, words
            sums = values.setdefault(name, {})
            for sample, labels, value in samples:
                key = sample, tuple(labels.items())
                sums[key] = sums.get(key, 0.0) + value
    for name, (kind, words) in heads.items():
        rows = [(sample, dict(labels), value) for (sample, labels), value in values[name].items()]
        yield name, kind, words, rows
