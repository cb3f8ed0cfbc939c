"""The doctor at real servers: healthy ones, broken ones, and none at all."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crawler.cli import exits
from crawler.cli.main import run_command
from crawler.clock import SystemClock
from crawler.coordination.etcd import Etcd, EtcdSettings, put
from crawler.coordination.keys import CLUSTER_KEY
from crawler.coordination.records import Cluster, encode_cluster
from crawler.errors import NotFound
from crawler.ops.doctor import Patient, examine
from crawler.ops.findings import Finding, Severity
from crawler.store import open_store
from crawler.store.look import look_at
from tests.etcd_server import Certificates, EtcdServer
from tests.ports import free_port
from tests.postgres_server import PostgresServer

PREFIX = "/resources/election"
QUOTA_BYTES = 16 * 1024 * 1024


def patient(etcd: EtcdServer, url: str, endpoints: tuple[str, ...] = ()) -> Patient:
    settings = EtcdSettings(endpoints or etcd.endpoints, call_timeout_s=2.0)

    async def look() -> Mapping[str, Any]:
        return await look_at(url)

    return Patient(settings, PREFIX, 10.0, (), None, look)


def texts(found: Sequence[Finding], severity: Severity) -> list[str]:
    return [f"{each.subject}: {each.text}" for each in found if each.severity is severity]


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/none.db"


async def test_a_cluster_without_nodes(etcd: EtcdServer, nowhere: str) -> None:
    found = await examine(patient(etcd, nowhere), SystemClock())
    assert texts(found, Severity.FAILURE) == [
        "election: nobody leads",
        "registry: no master is registered",
    ]
    doubts = texts(found, Severity.WARNING)
    assert "etcd: one member only" in doubts
    assert any("there is no database yet" in each for each in doubts)
    fine = "\n".join(texts(found, Severity.OK))
    for words in ("its clock agrees", "of 2,048.0 MiB", "a write takes", "it keeps"):
        assert words in fine
    assert "(assumed)" not in fine
    with pytest.raises(NotFound):
        await look_at(nowhere)  # the look has made nothing
    assert await asyncio.to_thread(etcd.ctl, "lease", "list") == "found 0 leases\n"


async def test_a_key_without_a_lease_is_found(etcd: EtcdServer, nowhere: str) -> None:
    await asyncio.to_thread(etcd.ctl, "put", f"{PREFIX}/1", "master1-127.0.0.1:9091")
    found = await examine(patient(etcd, nowhere), SystemClock())
    assert f"election: {PREFIX}/1 has no lease: it stays when its master dies" in texts(
        found, Severity.FAILURE
    )


@pytest.fixture
def trio_with_one_down() -> Iterator[EtcdServer]:
    with EtcdServer(members=3) as server:
        server.kill(2)
        yield server


@pytest.mark.parametrize("named", [3, 1])
@pytest.mark.parametrize("host", ["http://127.0.0.1", "127.0.0.1", "localhost"])
async def test_one_member_down_is_a_warning_once(
    trio_with_one_down: EtcdServer, nowhere: str, named: int, host: str
) -> None:
    """However its endpoints are written, and whether or not they name it."""
    etcd = trio_with_one_down
    endpoints = tuple(
        each.replace("http://127.0.0.1", host if number < 2 else "127.0.0.1")
        for number, each in enumerate(etcd.endpoints[:named])
    )
    found = await examine(patient(etcd, nowhere, endpoints=endpoints), SystemClock())
    silent = [each for each in texts(found, Severity.WARNING) if "etcd" in each]
    assert len(silent) == 1
    assert etcd.endpoints[2].removeprefix("http://") in silent[0]
    assert not [each for each in texts(found, Severity.FAILURE) if each.startswith("etcd")]
    versions = [each for each in texts(found, Severity.OK) if ": version" in each]
    assert len(versions) == 2
    assert any(each.startswith("etcd: a write takes") for each in texts(found, Severity.OK))


async def test_two_members_down_are_no_quorum(trio_with_one_down: EtcdServer, nowhere: str) -> None:
    etcd = trio_with_one_down
    etcd.kill(1)
    began = time.monotonic()
    found = await examine(patient(etcd, nowhere), SystemClock())
    assert time.monotonic() - began < 12
    failures = "\n".join(texts(found, Severity.FAILURE))
    assert "sees no leader" in failures or "takes no write" in failures


async def test_a_full_etcd_is_a_failure(nowhere: str) -> None:
    with EtcdServer(extra=(f"--quota-backend-bytes={QUOTA_BYTES}",)) as etcd:
        await asyncio.to_thread(fill, etcd)
        found = await examine(patient(etcd, nowhere), SystemClock())
    failures = texts(found, Severity.FAILURE)
    assert f"etcd {etcd.endpoints[0]}: alarm NOSPACE: it takes no writes" in failures
    assert any("of 16.0 MiB" in each for each in failures)
    assert any("it takes no write: " in each for each in failures)


def fill(etcd: EtcdServer) -> None:
    """Write until etcd refuses to."""

    def overfill() -> None:
        for number in range(2 * QUOTA_BYTES // 100_000):
            etcd.ctl("put", f"/filler/{number}", "x" * 100_000)

    with pytest.raises(RuntimeError, match="space exceeded"):
        overfill()


async def test_a_store_is_looked_at_and_tied_to_its_cluster(
    etcd: EtcdServer, postgres: PostgresServer
) -> None:
    url = postgres.fresh_url()
    empty = await look_at(url)
    assert empty["id"] is None
    assert (await look_at(url))["id"] is None  # the look has made nothing
    store = await open_store(url, SystemClock())
    await store.close()
    client = Etcd(EtcdSettings(etcd.endpoints), SystemClock())
    try:
        await client.txn([], [put(CLUSTER_KEY, encode_cluster(Cluster("u", store.id)))])
        found = await examine(patient(etcd, url), SystemClock())
        assert f"store: etcd and the store agree on {store.id}" in texts(found, Severity.OK)
        assert "store: its clock agrees with this machine's" in texts(found, Severity.OK)
        assert any(
            each.startswith("store: fsync is off") for each in texts(found, Severity.WARNING)
        )
        await client.txn([], [put(CLUSTER_KEY, encode_cluster(Cluster("u", "other")))])
        found = await examine(patient(etcd, url), SystemClock())
        assert any("etcd names the store other" in each for each in texts(found, Severity.FAILURE))
    finally:
        await client.close()


async def test_what_nodes_refuse_is_told_with_the_rest(postgres: PostgresServer) -> None:
    url = postgres.url()
    found = await look_at(f"{url}?options=-csynchronous_commit%3Doff")
    assert found["synchronous_commit"] == "off"
    assert found["max_connections"] == 200
    assert 1 <= found["connections"] < 200


async def test_a_file_is_looked_at_without_a_change(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with pytest.raises(NotFound):
        await look_at(f"sqlite://{path}")
    store = await open_store(f"sqlite://{path}", SystemClock())
    found = await look_at(f"sqlite://{path}")
    await store.close()
    assert found["id"] == store.id
    assert found["journal"] == "wal"
    assert found["schema"] == found["newest"]
    assert found["disk_free_bytes"] > 0
    assert (await look_at(f"sqlite://{path}"))["id"] == store.id  # nobody has it open


def test_nothing_reachable_ends_soon_in_clear_words(
    capsys: pytest.CaptureFixture[str], nowhere: str
) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    code = run_command(["doctor", "--etcd", dead, "--master", dead, "--store", nowhere])
    assert time.monotonic() - began < 12
    assert code == exits.FAULTY
    shown = capsys.readouterr().out
    assert f"failure  etcd {dead}: no connection" in shown
    assert "start etcd, or name yours with --etcd URL" in shown
    assert f"failure  master {dead}: no connection" in shown
    assert shown.rstrip().endswith("failed 2, warnings 1, fine 1")  # there is a browser


def test_findings_as_json(
    etcd: EtcdServer, capsys: pytest.CaptureFixture[str], nowhere: str
) -> None:
    arguments = ["--etcd", etcd.endpoints[0], "--store", nowhere, "--master", "", "--json"]
    assert run_command(["doctor", *arguments]) == exits.FAULTY
    found = json.loads(capsys.readouterr().out)
    assert {tuple(each) for each in found} == {("subject", "severity", "text", "advice")}
    assert {"ok", "warning", "failure"} == {each["severity"] for each in found}


async def test_writes_are_timed_at_members_that_answer(nowhere: str) -> None:
    with EtcdServer(members=3) as etcd:
        paused = (etcd.leader() + 1) % 3
        etcd.pause(paused)
        for _ in range(3):  # calls begin at any of the endpoints
            found = await examine(patient(etcd, nowhere), SystemClock())
            assert any(each.startswith("etcd: a write takes") for each in texts(found, Severity.OK))


async def test_etcd_behind_certificates(tmp_path: Path, nowhere: str) -> None:
    pair = await asyncio.to_thread(Certificates.issue, tmp_path / "tls")
    with EtcdServer(certificates=pair) as etcd:
        settings = EtcdSettings(
            etcd.endpoints,
            ca_file=pair.ca_file,
            cert_file=pair.cert_file,
            key_file=pair.key_file,
            call_timeout_s=2.0,
        )
        found = await examine(replace(patient(etcd, nowhere), etcd=settings), SystemClock())
    fine = texts(found, Severity.OK)
    subject = f"etcd {etcd.endpoints[0]}"
    assert f"{subject}: its clock agrees with this machine's" in fine
    assert any(each.endswith(" of 2,048.0 MiB") for each in fine)


@pytest.mark.parametrize("login", [None, ("ann", "wrong")])
async def test_a_refused_login_is_said_to_be_one(
    etcd: EtcdServer, nowhere: str, login: tuple[str, str] | None
) -> None:
    await asyncio.to_thread(etcd.enable_auth, "ann", "secret")
    user, password = login or (None, None)
    settings = EtcdSettings(etcd.endpoints, user, password, call_timeout_s=2.0)
    found = await examine(replace(patient(etcd, nowhere), etcd=settings), SystemClock())
    refused = [each for each in found if each.severity is Severity.FAILURE]
    assert refused
    for each in refused:
        assert "AioRpcError" not in each.text
        assert each.advice == "set --etcd-user and CRAWLER_ETCD_PASSWORD to a login that it knows"
