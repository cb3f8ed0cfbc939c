"""Looks at a whole cluster at once: etcd, election, registry, store, masters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crawler.clock import Clock
from crawler.coordination.etcd import EtcdSettings
from crawler.errors import CrawlerError, NotFound
from crawler.ops.etcd import Etcds, ask_etcd
from crawler.ops.findings import Finding, failure, warning
from crawler.ops.masters import ask_masters
from crawler.ops.roll import judge_store_id
from crawler.ops.storage import judge_store

CALL_S = 2.0  # for one call on etcd; at most four follow one another
STORE_S = 6.0
WHOLE_S = 9.0

Look = Callable[[], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Patient:
    """What is to be looked at. ``look`` tells what stands in the store, or raises; ``authority``:
    a file, whose certificates are believed (None: those that the system believes)."""

    etcd: EtcdSettings
    election_prefix: str
    ttl_s: float
    masters: tuple[str, ...]
    token: str | None
    look: Look
    authority: str | None = None


async def examine(patient: Patient, clock: Clock) -> Sequence[Finding]:
    """All findings, after at most about `WHOLE_S` seconds. Raises `Misconfigured` for settings
    that cannot be used, and nothing else: what does not answer is a finding."""
    etcd, (facts, about), masters = await asyncio.gather(
        _ask_etcd(patient, clock),
        _ask_store(patient.look, clock),
        ask_masters(patient.masters, patient.token, patient.authority, STORE_S),
    )
    tied = [judge_store_id(etcd.store_id, facts["id"])] if etcd.read and facts else []
    return [*etcd.findings, *about, *tied, *masters]


async def _ask_etcd(patient: Patient, clock: Clock) -> Etcds:
    try:
        async with asyncio.timeout(WHOLE_S):
            return await ask_etcd(patient.etcd, patient.election_prefix, patient.ttl_s, clock)
    except TimeoutError:
        said = f"it did not answer within {WHOLE_S:g} s"
        return Etcds((failure("etcd", said, "see whether its members run and reach one another"),))


async def _ask_store(look: Look, clock: Clock) -> tuple[Mapping[str, Any] | None, list[Finding]]:
    try:
        async with asyncio.timeout(STORE_S):
            facts = await look()
    except TimeoutError:
        said = f"it did not answer within {STORE_S:g} s"
        return None, [failure("store", said, "see whether its server runs and can be reached")]
    except NotFound as error:
        advice = "the first node makes it; name another with --store"
        return None, [warning("store", str(error), advice)]
    except CrawlerError as error:
        return None, [failure("store", str(error), "mend it, or name another with --store")]
    return facts, judge_store(facts, clock.wall())
