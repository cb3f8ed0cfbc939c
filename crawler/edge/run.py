"""Runs the edge: for as long as it is wanted, or once."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from crawler.clock import Clock, SystemClock
from crawler.config import EdgeConfig
from crawler.coordination.etcd import Etcd, EtcdSettings
from crawler.coordination.signing import Keyring
from crawler.edge.desired import Desired, prefixes_of
from crawler.edge.documents import json_document, template_document
from crawler.edge.door import serve_status
from crawler.edge.figures import Figures, in_one_line, watch_edge
from crawler.edge.follow import Registry
from crawler.edge.haproxy import Haproxy
from crawler.edge.keepalived import Keepalived
from crawler.edge.keeper import Keeper, select_pools
from crawler.edge.members import Pools
from crawler.edge.memory import Memory
from crawler.edge.nginx import Nginx
from crawler.edge.plan import Plan
from crawler.edge.sample import read_sample
from crawler.edge.settings import (
    AnyTarget,
    HaproxyTarget,
    JsonTarget,
    KeepalivedTarget,
    NginxTarget,
)
from crawler.edge.target import Applied, Balancer, FileTarget, Target
from crawler.errors import CrawlerError, OutOfStep
from crawler.tasks import TaskGroup, bounded, start_loop, until
from crawler.telemetry.health import Health
from crawler.telemetry.metrics import collected

log = structlog.get_logger(__name__)

# How long a change that is under way at the end may take.
REST_S = 30.0


@dataclass(slots=True)
class Result:
    """What one run came to: targets that changed, and how or what; those that failed, and why;
    pools with members that are kept although unregistered, and why."""

    changed: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)


async def run_edge(
    config: EdgeConfig,
    plan: Plan,
    stop: asyncio.Event,
    ready: Callable[[Callable[[], str]], object],
) -> None:
    """Keep all targets in step until ``stop`` is set; SIGHUP has everything looked at again.

    ``ready`` is called once every target was looked at, whatever came of that, with what tells in
    one line how they are.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(_open(config, plan, clock))
        keepers = [
            Keeper(target, plan.targets[target.name].pools, scene.desired, plan.pace, clock)
            for target in scene.targets
        ]
        stack.enter_context(collected(Figures(scene.registry, scene.desired, keepers, clock)))
        health = Health()
        watch_edge(health, scene.registry, scene.desired, keepers, clock)
        if config.http is not None:
            await stack.enter_async_context(serve_status(config.http, health))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, scene.desired.resync)
        stack.callback(loop.remove_signal_handler, signal.SIGHUP)

        async def work() -> None:
            async with TaskGroup() as group:
                start_loop(group, "registry", scene.registry.run())
                start_loop(group, "secrets", scene.keyring.run())
                start_loop(group, "names", scene.desired.names.run())
                start_loop(group, "desired", scene.desired.run())
                for keeper in keepers:
                    start_loop(group, f"target {keeper.name}", keeper.run())
                for keeper in keepers:
                    await keeper.looked.wait()
                ready(lambda: in_one_line(scene.registry, scene.desired, keepers))

        async def rest() -> None:
            await bounded(asyncio.gather(*(each.rest() for each in keepers)), REST_S, "targets")

        await until(stop, work(), "edge", before_cancel=rest)


async def sync_once(config: EdgeConfig, plan: Plan, *, dry_run: bool = False) -> Result:
    """Read the registry and bring every target in step, or with ``dry_run`` only say what that
    would change. Raises `Unavailable` where the registry cannot be read: then nothing is done."""
    result = Result()
    async with _open(config, plan, SystemClock(), frozen=dry_run) as scene:
        await scene.registry.read()
        await scene.desired.judge()
        pools = scene.desired.pools
        assert pools is not None, "judged"
        result.held.update({name: each.held for name, each in pools.items() if each.held})
        for target in scene.targets:
            try:
                chosen = select_pools(pools, plan.targets[target.name].pools)
                with closing(target):
                    how = await _bring(target, chosen, dry_run=dry_run)
            except (CrawlerError, OSError) as error:
                result.failed[target.name] = str(error)
            else:
                if how:
                    result.changed[target.name] = how
    return result


async def validate(plan: Plan, sample: Path) -> Result:
    """Render every target with the members of a sample, and have the result checked; neither etcd
    nor what is in place is touched. Raises `InvalidInput` for what is no sample."""
    pools, result = read_sample(sample, plan.pools), Result()
    with tempfile.TemporaryDirectory(prefix="crawler-edge-") as folder:  # nothing is remembered
        memory, clock = Memory(Path(folder)), SystemClock()
        for name, settings in plan.targets.items():
            try:
                chosen = select_pools(pools, settings.pools)
                missing = sorted(set(settings.pools or plan.pools) - set(chosen))
                if missing:
                    raise OutOfStep(f"{sample} has no pool {', '.join(missing)}")
                target = _target(name, settings, memory, clock)
                result.changed[name] = await target.validate(chosen)
            except (CrawlerError, OSError) as error:
                result.failed[name] = str(error)
    return result


async def _bring(target: Target, pools: Pools, *, dry_run: bool) -> str:
    """What was changed, or would be: a word or a diff; "" for nothing."""
    if dry_run:
        return await target.preview(pools)
    applied = await target.apply(pools)
    return "" if applied is Applied.UNCHANGED else applied.value


@dataclass(frozen=True, slots=True)
class _Scene:
    registry: Registry
    desired: Desired
    keyring: Keyring
    targets: tuple[Target, ...]


@asynccontextmanager
async def _open(
    config: EdgeConfig, plan: Plan, clock: Clock, *, frozen: bool = False
) -> AsyncIterator[_Scene]:
    """``frozen``: what is remembered stays as it is."""
    memory, keyring = Memory(config.state, frozen=frozen), Keyring(config.secret, clock)
    targets = tuple(
        _target(name, settings, memory, clock) for name, settings in plan.targets.items()
    )
    etcd = Etcd(
        EtcdSettings(
            endpoints=config.etcd,
            username=config.etcd_user,
            password=config.etcd_password,
            ca_file=config.etcd_ca,
            cert_file=config.etcd_cert,
            key_file=config.etcd_key,
        ),
        clock,
    )
    try:
        prefixes = prefixes_of(plan.pools, config.election_prefix)
        registry = Registry(etcd, clock, prefixes, plan.pace.resync_s)
        desired = Desired(registry, plan.pools, plan.pace, memory, clock, config.election_prefix)
        desired.seal = keyring.seal
        keyring.tell(desired.reseal)
        yield _Scene(registry, desired, keyring, targets)
    finally:
        await etcd.close()


def _target(name: str, settings: AnyTarget, memory: Memory, clock: Clock) -> Target:
    balancer: Balancer
    if isinstance(settings, NginxTarget):
        balancer = Nginx(name, settings)
    elif isinstance(settings, HaproxyTarget):
        balancer = Haproxy(name, settings, clock)
    elif isinstance(settings, KeepalivedTarget):
        balancer = Keepalived(name, settings, clock)
    elif isinstance(settings, JsonTarget):
        balancer = json_document(settings)
    else:
        balancer = template_document(settings)
    return FileTarget(
        name,
        settings.file,
        balancer,
        memory.kept(name, settings.kind),
        clock,
        verify_s=settings.verify_s,
        mode=int(settings.mode, 8) if settings.mode is not None else None,
        complaint=balancer.complaint if isinstance(balancer, Nginx) else None,
    )
