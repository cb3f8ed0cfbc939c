"""What owners report of their resources, written only as long as they own them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import not_

from crawler.coordination.etcd import Etcd, fetch, modified_at, put
from crawler.coordination.keys import resource_key, status_key
from crawler.coordination.records import Status, encode_status
from crawler.model import Resource

MAX_STATUSES = 60  # etcd takes 128 operations, and a reason is at most 500 characters


async def write_statuses(
    etcd: Etcd, reports: Sequence[tuple[Resource, Status]]
) -> list[tuple[Resource, Status]]:
    """Report on each resource as long as this assignment of it stands; those of which it does not.

    In one transaction, so that watchers hear of all at once; at most `MAX_STATUSES`, of different
    units. May raise `OutcomeUnknown`; repeating is safe.
    """
    due, refused = list(reports), list[tuple[Resource, Status]]()
    while due:
        result = await etcd.txn(
            [modified_at(resource_key(r.name, r.part), r.revision) for r, _ in due],
            [put(status_key(r.name, r.part), encode_status(status)) for r, status in due],
            [fetch(resource_key(r.name, r.part)) for r, _ in due],
        )
        if result.succeeded:
            break
        standing = [kvs[0].mod_revision if kvs else 0 for kvs in result.responses]
        stale = [r.revision != now for (r, _), now in zip(due, standing, strict=True)]
        refused += compress(due, stale)
        due = list(compress(due, map(not_, stale)))
    return refused
