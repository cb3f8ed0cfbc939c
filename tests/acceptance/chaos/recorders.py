"""How a run is recorded: etcd and PostgreSQL keep the history themselves, and it is read here."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import psycopg

from crawler.coordination.etcd import Etcd, WatchEvent, put
from crawler.coordination.keys import OURS, PREFIXES, SPAN_END, SPAN_START
from tests.acceptance.chaos.history import Commit, EtcdWrite, ItemRow, PageRow

_ENDS = f"{OURS}history-end/"  # nobody else's keys, below what is watched

# Deferred, so that it runs at COMMIT: a trigger that fires at once would see neither a claim that
# came after it nor the order of the commits. Only pages that were pending: those are changed by the
# owner of their part alone.
_LOG = """
CREATE TABLE commit_log (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    resource_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    run BIGINT NOT NULL,
    url TEXT NOT NULL,
    state TEXT NOT NULL,
    node TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    fence_node TEXT NOT NULL,
    open BOOLEAN NOT NULL
);

CREATE FUNCTION log_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO commit_log (at, resource_id, part, run, url, state, node, epoch, revision,
        fence_node, open)
    SELECT extract(epoch FROM clock_timestamp()), runs.resource_id, NEW.part, runs.run, NEW.url,
        NEW.state, current_setting('application_name'), coalesce(fences.epoch, 0),
        coalesce(fences.revision, 0), coalesce(fences.node, ''), coalesce(fences.open, false)
    FROM runs LEFT JOIN fences
        ON fences.resource_id = runs.resource_id AND fences.part = NEW.part
    WHERE runs.id = NEW.run_id;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER log_commit AFTER UPDATE OF state ON pages
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.state = 'pending') EXECUTE FUNCTION log_commit();
"""

_COMMITS = """
SELECT seq, at, resource_id, part, run, url, state, node, epoch, revision, fence_node, open
FROM commit_log ORDER BY seq
"""

_PAGES = """
SELECT runs.resource_id, runs.run, pages.url, pages.state
FROM pages JOIN runs ON runs.id = pages.run_id ORDER BY pages.seq
"""

_ITEMS = """
SELECT runs.resource_id, runs.run, pages.url, items.ordinal, items.fields::text
FROM items JOIN runs ON runs.id = items.run_id
LEFT JOIN pages ON pages.run_id = items.run_id AND pages.fingerprint = items.fingerprint
ORDER BY items.seq
"""


class EtcdRecorder:
    """Hears every write of the span that a cluster uses, from etcd's first revision on.

    Run it as a task from the start of a run on, so that ``at`` tells when things happened; run at
    the end it hears the same writes, all as of that moment.
    """

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd
        self._end = f"{_ENDS}{uuid.uuid4().hex}"

    async def run(self) -> tuple[EtcdWrite, ...]:
        """All writes until `end` was called. Raises `Compacted` where history was compacted before
        it was heard: that run is inconclusive."""
        heard: list[EtcdWrite] = []
        async with aclosing(self._etcd.watch(SPAN_START, SPAN_END, 1)) as batches:
            async for batch in batches:
                at = time.time()
                heard += (_write(event, at) for event in batch if _is_told(event.kv.key))
                if any(event.kv.key == self._end for event in batch):
                    break  # a batch may hold many revisions, those before the end too
        return tuple(heard)

    async def end(self) -> None:
        """Let `run` return once it has heard all that was written before this."""
        await self._etcd.txn((), (put(self._end, b""),))


def _is_told(key: str) -> bool:
    return key.startswith(PREFIXES) and not key.startswith(_ENDS)


def _write(event: WatchEvent, at: float) -> EtcdWrite:
    kv = event.kv
    if event.deleted:
        return EtcdWrite(kv.mod_revision, kv.key, None, 0, at)
    return EtcdWrite(kv.mod_revision, kv.key, kv.value, kv.create_revision, at)


def install_log(url: str) -> None:
    """Let the database at this URL log every commit of a page. Its tables are there already, and
    the URL names their search path."""
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(_LOG.encode())


def read_commits(url: str) -> tuple[Commit, ...]:
    """The log, in the order of the commits."""
    return tuple(Commit(*row) for row in _rows(url, _COMMITS))


def read_pages(url: str) -> tuple[PageRow, ...]:
    """Every URL of every run, as it stands now."""
    return tuple(PageRow(*row) for row in _rows(url, _PAGES))


def read_items(url: str) -> tuple[ItemRow, ...]:
    """Every item of every run, as it stands now."""
    return tuple(
        ItemRow(resource_id, run, page or "", ordinal, as_text(json.loads(fields)))
        for resource_id, run, page, ordinal, fields in _rows(url, _ITEMS)
    )


def as_text(fields: Mapping[str, Any]) -> str:
    """An item's fields as they are compared: JSON with sorted keys."""
    return json.dumps(fields, sort_keys=True, ensure_ascii=False)


def _rows(url: str, statement: str) -> Sequence[tuple[Any, ...]]:
    with psycopg.connect(url) as server:
        return server.execute(statement.encode()).fetchall()
