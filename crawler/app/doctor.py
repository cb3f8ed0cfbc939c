"""Looks at a cluster with what its nodes are given: etcd, store, masters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from crawler.app.browsers import browser_findings
from crawler.app.node import etcd_settings
from crawler.clock import SystemClock
from crawler.config import NodeConfig, read_entrusted
from crawler.ops.doctor import CALL_S, Patient, examine
from crawler.ops.findings import Finding
from crawler.store.look import look_at


async def examine_cluster(
    config: NodeConfig, masters: Sequence[str], token: str | None
) -> Sequence[Finding]:
    """All findings, those about the browser of this machine among them; see
    `crawler.ops.doctor.examine`."""
    patient = Patient(
        etcd=replace(etcd_settings(config), call_timeout_s=CALL_S),
        election_prefix=config.election_prefix,
        ttl_s=config.ttl_s,
        masters=tuple(masters),
        token=token,
        look=partial(look_at, config.store),
        authority=config.tls_ca,
    )
    found = await examine(patient, SystemClock())
    return [*found, *browser_findings(read_entrusted(None)["browser"])]
