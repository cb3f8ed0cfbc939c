"""Sends a parcel to whatever kind of sink a definition names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from crawler.address import Guard
from crawler.clock import Clock, SystemClock
from crawler.definition import Sink
from crawler.definition.secrets import Secret, fill
from crawler.delivery import files, s3, webhook
from crawler.delivery.records import Parcel
from crawler.delivery.sending import guarded_session
from crawler.errors import DeliveryFailed, Misconfigured

_KEYS: Final = ("access_key_id", "secret_access_key")


class Post:
    """What this process can send to. ``directory``: where file sinks are; None: it has none."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        directory: Path | None,
        secrets: Mapping[str, Secret],
        clock: Clock,
    ) -> None:
        self._session = session
        self._directory = directory
        self._secrets = secrets
        self._clock = clock

    async def send(self, sink: Sink, parcel: Parcel) -> None:
        """Deliver it, once. Raises `DeliveryFailed`."""
        if sink.kind == "webhook":
            await webhook.post(self._session, self._entrusted(sink), parcel)
        elif sink.kind == "s3":
            await s3.put(self._session, self._entrusted(sink), parcel, self._clock.wall())
        elif self._directory is None:
            raise DeliveryFailed("this worker has no directory for files; start it with --sinks")
        else:
            await asyncio.to_thread(files.append, self._directory, sink, parcel)

    def _entrusted(self, sink: Sink) -> Sink:
        """With the values of the secrets that it names, as far as they may go where it leads."""
        host = urlsplit(sink.url or "").hostname or ""

        def filled(field: str, text: str | None) -> str:
            return fill(text or "", self._secrets, (host,), f"sink {sink.name}: {field}")

        try:
            headers = {name: filled(name, text) for name, text in sink.headers.items()}
            keys = {name: filled(name, getattr(sink, name)) for name in _KEYS}
        except Misconfigured as error:
            raise DeliveryFailed(str(error), refused=True) from error
        return sink.model_copy(update={"headers": headers, **keys})


@asynccontextmanager
async def open_post(
    allow_private: Sequence[str],
    directory: Path | None,
    hosts: Sequence[str] = (),
    *,
    secrets: Mapping[str, Secret] = MappingProxyType({}),
    clock: Clock | None = None,
) -> AsyncIterator[Post]:
    """``allow_private`` and ``hosts``: see `Guard`; ``secrets``: those of this worker."""
    async with guarded_session(Guard(allow_private, hosts)) as session:
        yield Post(session, directory, secrets, clock or SystemClock())
