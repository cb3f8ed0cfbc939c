"""Beside nodes of a later version: what they write and send besides is no hindrance."""

from __future__ import annotations

import json

import pytest

from crawler.coordination.etcd import put
from crawler.coordination.keys import load_key
from crawler.master.wishes import Action
from crawler.model import State
from crawler.rpc.pb.crawler_pb2 import ResourceSpec
from tests.etcd_server import EtcdServer
from tests.fakes.fence import MemoryFence
from tests.integration.master.masters import a_master, a_worker, definition, entry_of, home_of

LATER = b"\xfa\x07\x03new"  # field 127, a text


@pytest.mark.fault(32)
async def test_fields_of_a_later_version_are_no_hindrance(
    etcd: EtcdServer, fence: MemoryFence
) -> None:
    async with (
        a_worker(etcd) as worker,
        a_master(etcd, fence) as one,
        a_master(etcd, fence, 2) as two,
    ):
        leader = await one.leads()
        await leader.resources.add("a", definition())
        await worker.report("a", State.RUNNING)
        before = await entry_of(one.etcd, "a")
        for kv in (await one.etcd.span(("/resources/", "/crawler/"))).kvs:
            if not kv.lease and kv.value.startswith(b"{") and "/definitions/" not in kv.key:
                record = {**json.loads(kv.value), "later": [1, {"x": None}]}
                await one.etcd.txn([], [put(kv.key, json.dumps(record).encode())])
        load = put(
            load_key(worker.node.id), b'{"active":9,"resources":1,"later":1}', worker.node.lease
        )
        await one.etcd.txn([], [load])
        await one.etcd.revoke(one.session.lease)
        successor = await two.leads()
        await two.sees(lambda c: worker.node.id in c.loads)
        assert two.catalog.loads[worker.node.id].active == 9
        after = await entry_of(two.etcd, "a")
        assert (after.definition, after.wish, home_of(after)) == (
            before.definition,
            before.wish,
            worker.node.id,
        )
        assert (await successor.wishes.desire("a", Action.PAUSE)).change
        sent = ResourceSpec.FromString(ResourceSpec(name="b").SerializeToString() + LATER)
        assert (await two.calls.add_resource(sent)).id == worker.node.id
