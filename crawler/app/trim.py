"""Lets go of what definitions do not want kept, where a worker has no cluster to do so."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from crawler.clock import Clock
from crawler.coordination.catalog import Entry
from crawler.definition.keeping import keep_of
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.store.contract import Store

log = structlog.get_logger(__name__)

ROWS = 2_000  # per transaction
PAUSE_S = 0.2  # between two of them: crawls get their turns


async def trim(entries: Mapping[str, Entry], store: Store, clock: Clock) -> None:
    """Look at all of them once. What the database does not take is done the next time."""
    for entry in list(entries.values()):
        assert entry.resource is not None
        keep = keep_of(entry.definition)
        try:
            while await store.trim(entry.resource.id, keep, ROWS):
                await clock.sleep(PAUSE_S)
        except (StoreUnavailable, OutcomeUnknown) as error:
            log.warning("not let go of yet", resource=entry.name, error=str(error))
