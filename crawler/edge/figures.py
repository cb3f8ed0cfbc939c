"""The edge in figures and in words, as it is when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crawler.clock import Clock
from crawler.edge.desired import Desired
from crawler.edge.follow import Registry
from crawler.edge.keeper import Keeper
from crawler.errors import OutOfStep, Unavailable
from crawler.telemetry.health import Health


class Figures(Collector):
    """See the names below."""

    def __init__(
        self, registry: Registry, desired: Desired, keepers: Sequence[Keeper], clock: Clock
    ) -> None:
        self._registry = registry
        self._desired = desired
        self._keepers = keepers
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        lost = self._registry.lost_at
        yield GaugeMetricFamily(
            "crawler_edge_stale",
            "1 while the registry cannot be read, so that what was last known stays.",
            int(lost is not None or not self._registry.listed),
        )
        yield GaugeMetricFamily(
            "crawler_edge_stale_seconds",
            "For how long that has been so.",
            0.0 if lost is None else self._clock.elapsed() - lost,
        )
        members = GaugeMetricFamily(
            "crawler_edge_members", "Servers of a pool.", labels=["pool", "draining"]
        )
        held = GaugeMetricFamily(
            "crawler_edge_held",
            "1 while servers stay in a pool that are not registered any more.",
            labels=["pool"],
        )
        for name, each in (self._desired.pools or {}).items():
            draining = sum(member.draining for member in each.members)
            members.add_metric([name, "false"], len(each.members) - draining)
            members.add_metric([name, "true"], draining)
            held.add_metric([name], int(bool(each.held)))
        yield GaugeMetricFamily(
            "crawler_edge_unresolved",
            "Names of hosts that could not be resolved last time: left out, or kept at the address "
            "that they had before.",
            len(self._desired.names.failing),
        )
        yield from (members, held, *self._of_targets())

    def _of_targets(self) -> Iterator[Metric]:
        step = GaugeMetricFamily(
            "crawler_edge_in_step", "1 while a load balancer is as it should be.", labels=["target"]
        )
        at = GaugeMetricFamily(
            "crawler_edge_in_step_timestamp_seconds",
            "When that was last seen (0: never).",
            labels=["target"],
        )
        for keeper in self._keepers:
            step.add_metric([keeper.name], int(not keeper.trouble))
            at.add_metric([keeper.name], keeper.in_step_at)
        yield from (step, at)


def in_one_line(registry: Registry, desired: Desired, keepers: Sequence[Keeper]) -> str:
    """How all of it is, for people."""
    lost = registry.lost_at is not None or not registry.listed
    parts = ["the registry cannot be read, and what was last known stays"] if lost else []
    parts += [f"{name}: {why}" for name, why in _held(desired) if not lost]
    off = [f"{each.name}: {each.trouble}" for each in keepers if each.trouble]
    fine = [each.name for each in keepers if not each.trouble]
    parts += [f"not in step: {'; '.join(off)}"] if off else []
    parts += [f"in step: {', '.join(fine)}"] if fine else []
    return "; ".join(parts)


def _held(desired: Desired) -> list[tuple[str, str]]:
    """Pools with members that are not registered any more, and why they stay."""
    return [(name, each.held) for name, each in sorted((desired.pools or {}).items()) if each.held]


def _kept_at(address: str) -> str:
    return f"kept at {address}" if address else "left out"


def watch_edge(
    health: Health, registry: Registry, desired: Desired, keepers: Sequence[Keeper], clock: Clock
) -> None:
    """Have all of it asked about."""

    async def is_read() -> str:
        if registry.lost_at is not None:
            away_s = clock.elapsed() - registry.lost_at
            raise Unavailable(f"stale: etcd is away for {away_s:.0f} s; what was last known stays")
        if not registry.listed:
            raise Unavailable("stale: not read since the start; what was last known stays")
        return f"read up to revision {registry.revision}"

    health.add(
        "registry",
        is_read,
        "see whether most members of etcd run and can be reached from here; the load balancers go "
        "on with what they have",
    )

    async def none_held() -> str:
        if kept := _held(desired):
            raise OutOfStep("; ".join(f"{name}: {why}" for name, why in kept))
        return "every pool is as registered"

    health.note(
        "members", none_held, "see whether they run, and register again; --allow-empty believes it"
    )

    async def all_resolved() -> str:
        names = desired.names
        if names.failing:
            raise OutOfStep(
                "; ".join(
                    f"{name}: {why}, {_kept_at(names.address(name))}"
                    for name, why in sorted(names.failing.items())
                )
            )
        return "every name has an address"

    health.note(
        "names", all_resolved, "see whether this machine can resolve them; each is tried again"
    )

    for keeper in keepers:

        async def in_step(keeper: Keeper = keeper) -> str:
            if keeper.trouble:
                raise OutOfStep(keeper.trouble)
            return "in step"

        health.add(
            f"target {keeper.name}", in_step, "it is tried again by itself; SIGHUP does so now"
        )
