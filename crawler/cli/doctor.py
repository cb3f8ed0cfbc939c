"""`crawler doctor`."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crawler.cli import exits, options, terminal

if TYPE_CHECKING:
    from crawler.ops.findings import Finding

_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}


def doctor(
    master: options.Master = options.DEFAULT_MASTER,
    config: options.Config = None,
    etcd: options.Etcd = None,
    etcd_user: options.EtcdUser = None,
    etcd_ca: options.EtcdCa = None,
    etcd_cert: options.EtcdCert = None,
    etcd_key: options.EtcdKey = None,
    store: options.Store = None,
    ttl: options.Ttl = None,
    election_prefix: options.ElectionPrefix = None,
    json_: options.Json = False,
) -> int:
    """Look at a cluster and say what is wrong with it, and what to do: etcd, the election, nodes,
    the store, clocks, masters. Changes nothing. Exits with 0 (all fine), 1 (warnings), 6 (faults).
    """
    given = {name: value for name, value in locals().items() if name not in {"master", "json_"}}
    from crawler.app.doctor import examine_cluster
    from crawler.config import master_config, read_token
    from crawler.ops.findings import Severity, worst
    from crawler.telemetry import logs

    logs.configure("error")
    settings = master_config(given)
    masters = [url for url in master.split(",") if url]
    found = asyncio.run(examine_cluster(settings, masters, read_token()))
    if json_:
        terminal.print_json([dataclasses.asdict(each) for each in found])
    else:
        print_findings(found)
    gravest = worst(found)
    if gravest is Severity.FAILURE:
        return exits.FAULTY
    return exits.DOUBTFUL if gravest is Severity.WARNING else exits.OK


def print_findings(found: Sequence[Finding]) -> None:
    """What is wrong first, each with its advice; then how many there are of each kind."""
    from rich.text import Text

    from crawler.ops.findings import Severity

    out = terminal.console()
    for severity in reversed(Severity):
        for each in (one for one in found if one.severity is severity):
            line = Text(f"{severity:8} ", style=_STYLES[severity])
            line.append(terminal.safe(f"{each.subject}: {each.text}"), style="default")
            out.print(line, soft_wrap=True)
            if each.advice:
                out.print(Text(terminal.safe(f"{'':11}{each.advice}"), style="dim"), soft_wrap=True)
    counts = {each: sum(1 for one in found if one.severity is each) for each in Severity}
    faults, doubts = counts[Severity.FAILURE], counts[Severity.WARNING]
    out.print(f"failed {faults}, warnings {doubts}, fine {counts[Severity.OK]}", soft_wrap=True)
