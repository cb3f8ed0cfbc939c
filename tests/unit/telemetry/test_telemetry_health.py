"""Health is asked of named probes, all at once, each in bounded time."""

from __future__ import annotations

import asyncio

import pytest

from crawler.errors import StoreUnavailable
from crawler.telemetry.health import Check, Health


async def well() -> str:
    return "all is well"


async def ill() -> str:
    raise StoreUnavailable("the disk is full")


async def slow() -> str:
    await asyncio.Event().wait()
    return "never"


async def faulty() -> str:
    raise KeyError("a fault of ours")


async def test_nothing_asked_is_well() -> None:
    assert (await Health().report()).ok


async def test_one_ill_probe_makes_the_process_ill() -> None:
    health = Health()
    health.add("loop", well)
    health.add("store", ill)
    report = await health.report()
    assert not report.ok
    assert report.checks == (
        Check("loop", True, "all is well"),
        Check("store", False, "the disk is full"),
    )
    assert report.as_dict() == {
        "ok": False,
        "checks": {
            "loop": {"ok": True, "words": "all is well"},
            "store": {"ok": False, "words": "the disk is full"},
        },
    }
    health.remove("store")
    assert (await health.report()).ok


async def test_silence_is_illness() -> None:
    health = Health(deadline_s=0.01)
    health.add("etcd", slow)
    assert (await health.report()).checks == (Check("etcd", False, "no answer within 0.01 s"),)


async def test_a_fault_is_not_hidden() -> None:
    health = Health()
    health.add("x", faulty)
    with pytest.raises(KeyError):
        await health.report()


async def test_what_is_noted_makes_nobody_unready() -> None:
    health = Health()
    health.add("store", well, "mend it")
    health.note("crawls", ill, "crawler show NAME says why")
    assert (await health.report()).checks == (Check("store", True, "all is well"),)
    report = await health.report(everything=True)
    assert report.ok
    assert report.as_text().splitlines()[2:4] == [
        "WRONG  crawls: the disk is full",
        "       crawler show NAME says why",
    ]
    assert Check("crawls", False, "the disk is full", "crawler show NAME says why", False) in (
        report.checks
    )
    health.remove("crawls")
    assert (await health.report(everything=True)).as_text().startswith("all is well\n")
