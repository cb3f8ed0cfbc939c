"""What etcd tells at its HTTP door and not by its API: the time, and the quota before 3.6."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp

from crawler.clock import Clock
from crawler.coordination.endpoints import EtcdSettings, read_target

_MAX_BYTES = 4 * 1024 * 1024
_QUOTA = re.compile(rb"^etcd_server_quota_backend_bytes ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Told:
    """``ahead_s``: how far its clock is before ours, right to ``doubt_s`` either way (None: it did
    not say). ``quota_bytes`` None: the same."""

    ahead_s: float | None = None
    doubt_s: float = 0.0
    quota_bytes: int | None = None


async def ask_door(settings: EtcdSettings, url: str, clock: Clock, timeout_s: float) -> Told:
    """Its ``/metrics``, as far as it serves them there; whatever else it does, there is none."""
    target = read_target(url, tls=settings.ca_file is not None)
    limit = aiohttp.ClientTimeout(total=timeout_s)
    scheme = "https" if target.secure else "http"
    began, asked = clock.elapsed(), clock.wall()
    try:
        tls = _tls(settings) if target.secure else True
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(f"{scheme}://{target.address}/metrics", ssl=tls) as answer,
        ):
            took_s = clock.elapsed() - began
            body = await answer.content.read(_MAX_BYTES)
            while chunk := await answer.content.read(_MAX_BYTES - len(body)):
                body += chunk
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Told()
    ahead_s, doubt_s = read_date(answer.headers, asked, took_s)
    return Told(ahead_s, doubt_s, read_quota(body))


def read_date(
    headers: Mapping[str, str], asked: float, took_s: float
) -> tuple[float | None, float]:
    """How far the sender of ``Date`` is ahead, and how wrong that may be: the header leaves the
    fraction of a second out, and was written at some time while the answer was awaited."""
    try:
        told = parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None, 0.0
    return told + 0.5 - (asked + took_s / 2), 0.5 + took_s / 2


def read_quota(metrics: bytes) -> int | None:
    """The quota in bytes; None where it is not told, or there is none."""
    match = _QUOTA.search(metrics)
    quota = int(float(match[1])) if match else 0
    return quota if 0 < quota < 1 << 62 else None


def _tls(settings: EtcdSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.cert_file is not None:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context
