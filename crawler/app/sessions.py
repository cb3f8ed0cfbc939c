"""One session after the other: whatever hangs on the lease ends with it and starts over."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import structlog

from crawler.clock import Backoff, Clock
from crawler.coordination.catalog import Catalog
from crawler.coordination.etcd import Etcd
from crawler.coordination.session import Session, open_session
from crawler.errors import (
    CrawlerError,
    Exhausted,
    Misconfigured,
    OutcomeUnknown,
    SessionLost,
    Unavailable,
)
from crawler.tasks import TaskGroup, leaves, start_loop

log = structlog.get_logger(__name__)

_NEXT = Backoff(base_s=0.1, cap_s=2.0)
# What ends a session and not the process; Exhausted: etcd has no space at the moment.
_PASSING = (SessionLost, Unavailable, OutcomeUnknown, Exhausted)


async def in_sessions(
    etcd: Etcd,
    ttl_s: int,
    clock: Clock,
    catalog: Catalog,
    store_id: str,
    work: Callable[[Session], Coroutine[Any, Any, NoReturn]],
    beat: Callable[[], None] = lambda: None,
) -> NoReturn:
    """Run ``work`` in one session after the other. Every end of one that another can mend is
    logged; what a user must mend is raised. ``beat`` is called whenever a session is begun, kept
    alive, or either is tried."""
    chance, failures = random.Random(), 0
    while True:
        began = clock.elapsed()
        beat()
        try:
            async with (
                open_session(etcd, ttl_s, clock) as session,
                TaskGroup() as group,
            ):
                start_loop(group, "keepalive", session.run(beat))
                start_loop(group, "catalog", catalog.run())
                start_loop(group, "store check", _check_store(catalog, store_id))
                start_loop(group, "work", work(session))
        except (CrawlerError, ExceptionGroup) as error:
            causes = list(leaves(error))
            for cause in causes:
                if not isinstance(cause, _PASSING):
                    raise cause from error
            log.warning("session ended; starting over", why=str(causes[0]))
        failures = 0 if clock.elapsed() - began > ttl_s else failures + 1
        await clock.sleep(_NEXT.delay(failures, chance))


async def _check_store(catalog: Catalog, store_id: str) -> NoReturn:
    """Raise `Misconfigured` as soon as the cluster names another store than this node has."""
    version = -1
    while True:
        version = await catalog.changed(version)
        cluster = catalog.cluster
        if cluster is not None and cluster.store != store_id:
            raise Misconfigured(
                f"this cluster keeps its pages in the store with id {cluster.store}, but --store "
                f"names the one with id {store_id}; give every node the same --store"
            )
