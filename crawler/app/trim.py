"""Lets go of what definitions do not want kept, where there is no master to do so."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from crawler.clock import Clock
from crawler.coordination.catalog import Entry
from crawler.definition.keeping import let_go
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.store.contract import Store

log = structlog.get_logger(__name__)


async def trim(entries: Mapping[str, Entry], store: Store, clock: Clock) -> None:
    """Look at all of them once. What the database does not take is done the next time."""
    for entry in list(entries.values()):
        assert entry.resource is not None
        try:
            await let_go(store, entry.resource.id, entry.definition, clock)
        except (StoreUnavailable, OutcomeUnknown) as error:
            log.warning("not let go of yet", resource=entry.name, error=str(error))
