"""Sends a parcel to whatever kind of sink a definition names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from crawler.address import Guard
from crawler.definition import Sink
from crawler.delivery import files, webhook
from crawler.delivery.records import Parcel
from crawler.errors import DeliveryFailed


class Post:
    """What this process can send to. ``directory``: where file sinks are; None: it has none."""

    def __init__(self, session: aiohttp.ClientSession, directory: Path | None) -> None:
        self._session = session
        self._directory = directory

    async def send(self, sink: Sink, parcel: Parcel) -> None:
        """Deliver it, once. Raises `DeliveryFailed`."""
        if sink.kind == "webhook":
            await webhook.post(self._session, sink, parcel)
        elif self._directory is None:
            raise DeliveryFailed("this worker has no directory for files; start it with --sinks")
        else:
            await asyncio.to_thread(files.append, self._directory, sink, parcel)


@asynccontextmanager
async def open_post(
    allow_private: Sequence[str], directory: Path | None, hosts: Sequence[str] = ()
) -> AsyncIterator[Post]:
    """``allow_private`` and ``hosts``: see `Guard`."""
    async with webhook.webhook_session(Guard(allow_private, hosts)) as session:
        yield Post(session, directory)
