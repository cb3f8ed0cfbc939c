"""Sees in etcd who comes, goes, leads, and is given what, and when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import NoReturn

from crawler.coordination.etcd import Etcd, KeyValue, WatchEvent
from crawler.coordination.keys import ELECTION, NODES, RESOURCES, SPAN_END
from crawler.coordination.records import decode_resource

_ELECTION = f"{ELECTION}/"


@dataclass(frozen=True, slots=True)
class Given:
    """A resource as it was last written: to which node ("": none), and when that was seen."""

    node: str
    at: float


class Observer:
    """A watch of its own. All times are Unix seconds, of when an event was seen."""

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd
        self._news = asyncio.Event()
        self.given: dict[str, Given] = {}
        self.gone: dict[str, float] = {}  # node ids and election keys
        self.taken: dict[str, float] = {}  # election keys: the first write of their term

    async def run(self) -> NoReturn:
        """Watch until cancelled."""
        async with aclosing(self._etcd.watch(NODES, SPAN_END, 1)) as batches:
            async for batch in batches:
                now = time.time()
                for event in batch:
                    self._note(event, now)
                self._news.set()
        raise AssertionError("a watch has no end")

    def held_by(self, node: str) -> Mapping[str, Given]:
        """What the node has now."""
        return {name: given for name, given in self.given.items() if given.node == node}

    async def until_gone(self, *keys: str, within_s: float) -> float:
        """When the last of them had gone."""
        async with asyncio.timeout(within_s):
            while not all(key in self.gone for key in keys):
                await self._turn()
        return max(self.gone[key] for key in keys)

    async def until_given(self, *names: str, since: float, within_s: float) -> float:
        """When the last of these was written after ``since``."""
        async with asyncio.timeout(within_s):
            while not all(name in self.given and self.given[name].at > since for name in names):
                await self._turn()
        return max(self.given[name].at for name in names)

    async def _turn(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _note(self, event: WatchEvent, now: float) -> None:
        kv = event.kv
        if kv.key.startswith(_ELECTION):
            self._note_candidate(kv, event.deleted, now)
        elif kv.key.startswith(NODES) and event.deleted:
            self.gone[kv.key.rpartition("/")[2]] = now
        elif kv.key.startswith(RESOURCES) and not event.deleted:
            resource = decode_resource(kv)
            assert resource is not None
            home = resource.assignment
            self.given[resource.name] = Given(home.node_id if home else "", now)

    def _note_candidate(self, kv: KeyValue, deleted: bool, now: float) -> None:
        if deleted:
            self.gone[kv.key] = now
        elif kv.mod_revision > kv.create_revision:
            self.taken.setdefault(kv.key, now)
