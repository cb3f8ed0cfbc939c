"""What a new leader must see to before it may decide anything."""

from __future__ import annotations

import uuid

import structlog

from crawler.coordination.catalog import View, read_view
from crawler.coordination.etcd import absent, modified_at, put
from crawler.coordination.keys import CLUSTER_KEY
from crawler.coordination.records import Cluster, decode_cluster, encode_cluster
from crawler.errors import Conflict, Misconfigured, Unavailable
from crawler.failpoint import hit
from crawler.master.batches import Change, write_all
from crawler.master.desk import unchanged
from crawler.master.fence import Fence
from crawler.master.office import Office
from crawler.master.refill import memo_of, refill
from crawler.master.resources import erase

log = structlog.get_logger(__name__)


async def take_over(office: Office, fence: Fence) -> str:
    """Return the cluster's uuid, with etcd and the database agreeing on it, and the catalog
    knowing everything that earlier leaders wrote.

    Every step may be cut and is done again by whoever leads next. Raises `Misconfigured` where
    the cluster works with another database; `Unavailable` or `OutcomeUnknown` to be called again.
    """
    revision = await office.begin()
    await hit("master.takeover.after_begin")
    await _catch_up(office, revision)
    kv = await office.etcd.get(CLUSTER_KEY)
    cluster = decode_cluster(kv) if kv is not None else None
    if cluster is not None:
        _check_store(cluster, fence)
        try:
            _check_history(cluster, office)
            await fence.open_epoch(cluster.uuid, revision)
        except Conflict as error:
            log.warning("etcd went back in time", reason=str(error))
        else:
            return cluster.uuid
    return await _begin_epoch(office, fence, kv.mod_revision if kv is not None else 0)


async def _catch_up(office: Office, revision: int) -> None:
    """Wait for the watch to deliver the term's own first write: earlier leaders wrote nothing
    after it, and so nothing of theirs is missed."""
    await office.catalog.reached(revision)


def _check_store(cluster: Cluster, fence: Fence) -> None:
    if cluster.store != fence.id:
        raise Misconfigured(
            f"this cluster keeps its pages in the store with id {cluster.store}, but --store "
            f"names the one with id {fence.id}; give every node the same --store"
        )


def _check_history(cluster: Cluster, office: Office) -> None:
    """Raise `Conflict` where this master has seen etcd go back since that uuid was written."""
    if cluster.uuid == office.catalog.outlived:
        raise Conflict("this master has seen revisions fall")


async def _begin_epoch(office: Office, fence: Fence, known: int) -> str:
    """Give etcd back what the database remembers, then write a uuid of its own for this etcd.

    In this order, because the uuid says that the rest is there. ``known`` is the revision of the
    uuid that is there now (0: none).
    """
    await _refill(office, fence)
    await hit("master.takeover.after_refill")
    cluster = Cluster(str(uuid.uuid4()), fence.id)
    same = modified_at(CLUSTER_KEY, known) if known else absent(CLUSTER_KEY)
    revision = await office.write((same,), (put(CLUSTER_KEY, encode_cluster(cluster)),))
    if revision is None:
        raise Unavailable("/crawler/cluster was changed meanwhile")
    await hit("master.takeover.after_cluster")
    try:
        await fence.open_epoch(cluster.uuid, revision)
    except Conflict as error:
        raise Unavailable(f"the database refused a fresh cluster uuid: {error}") from error
    await hit("master.takeover.after_epoch")
    log.info("new epoch", cluster=cluster.uuid, store=cluster.store)
    return cluster.uuid


async def _refill(office: Office, fence: Fence) -> None:
    view = await read_view(office.etcd)
    remembered = await fence.mirrored()
    if view.entries:
        await _drop_buried(office, fence, view, {memo.id for memo in remembered})
    changes = refill(view.entries, remembered, office.clock.wall(), office.term.revision)
    restored: list[str] = []
    await write_all(office, changes, lambda name, _: restored.append(name))
    if restored:
        log.warning("restored from the database", resources=len(restored))


async def _drop_buried(office: Office, fence: Fence, view: View, known: set[str]) -> None:
    """Delete what an old snapshot brought back from the dead: asked to remember a resource, the
    database does, unless it was buried."""
    unknown = {
        memo.id: memo
        for entry in view.entries.values()
        if (memo := memo_of(entry)) is not None and memo.id not in known
    }
    await fence.mirror(tuple(unknown.values()))
    buried = unknown.keys() - {memo.id for memo in await fence.mirrored()}
    changes = [
        Change(name, unchanged(entry), tuple(erase(entry)))
        for name, entry in view.entries.items()
        if entry.resource is not None and entry.resource.id in buried
    ]
    await write_all(office, changes, lambda name, _: log.warning("buried again", resource=name))
