"""An etcd of our own: chosen with care, kept alive, its data and address kept too."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from crawler.clock import SystemClock
from crawler.coordination.versions import Fitness, judge
from crawler.errors import Misconfigured
from crawler.local.etcd_child import EtcdChild, find_etcd, install_line
from crawler.local.ports import PortBook


@pytest.mark.parametrize(
    ("version", "fitness"),
    [
        ((3, 3, 25), Fitness.UNFIT),
        ((3, 4, 16), Fitness.OLD),
        ((3, 4, 23), Fitness.GOOD),
        ((3, 5, 0), Fitness.UNFIT),
        ((3, 5, 1), Fitness.UNFIT),
        ((3, 5, 2), Fitness.UNFIT),
        ((3, 5, 5), Fitness.OLD),
        ((3, 5, 6), Fitness.GOOD),
        ((3, 6, 0), Fitness.GOOD),
    ],
)
def test_versions_are_judged(version: tuple[int, int, int], fitness: Fitness) -> None:
    assert judge(version)[0] is fitness


@pytest.mark.parametrize(
    ("system", "release", "said"),
    [
        ("Linux", {"ID": "debian"}, "apt-get install --no-install-recommends etcd-server"),
        ("Linux", {"ID": "ubuntu", "ID_LIKE": "debian"}, "apt-get"),
        ("Linux", {"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "apt-get"),
        ("Linux", {"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "dnf"),
        ("Linux", {"ID": "nixos"}, "releases"),
        ("Darwin", {}, "brew"),
    ],
)
def test_what_to_install_is_said_per_system(
    system: str, release: dict[str, str], said: str
) -> None:
    assert said in install_line(system, release)


async def test_a_missing_etcd_is_explained(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"(?s)etcd is not installed.*--etcd"):
        await find_etcd(str(tmp_path))


@pytest.mark.parametrize(
    ("says", "said"),
    [("etcd Version: 3.5.1", "acknowledged writes"), ("hello", "nothing that looks like etcd")],
)
async def test_an_unfit_etcd_is_refused(tmp_path: Path, says: str, said: str) -> None:
    program = tmp_path / "etcd"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    with pytest.raises(Misconfigured, match=said):
        await find_etcd(str(tmp_path))


async def build(tmp_path: Path) -> EtcdChild:
    ports = PortBook(tmp_path / "ports.json")
    program = await find_etcd()
    return EtcdChild(program, tmp_path / "etcd", ports, tmp_path / "etcd.log", SystemClock())


async def test_it_comes_back_after_a_kill_and_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCD_NAME", "not-this-one")
    first = await build(tmp_path)
    await first.start()
    watch = asyncio.create_task(first.watch())
    try:
        first.kept.kill()
        async with asyncio.timeout(20):
            while first.kept.starts < 2 or not await first.answers():  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.05)
    finally:
        watch.cancel()
        await first.stop()
    second = await build(tmp_path)
    assert second.url == first.url
    await second.start()
    await second.stop()
    assert not await second.answers()
    assert os.listdir(tmp_path / "etcd") == ["member"]
