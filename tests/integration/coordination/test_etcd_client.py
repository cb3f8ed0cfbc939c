"""The client against a real etcd: answers, errors, failover, login, TLS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.clock import SystemClock
from crawler.coordination.etcd import (
    Etcd,
    EtcdSettings,
    absent,
    created_at,
    delete,
    fetch,
    modified_at,
    put,
)
from crawler.errors import (
    EtcdUnavailable,
    Exhausted,
    Hindered,
    OutcomeUnknown,
    SessionLost,
    TooLarge,
)
from tests.etcd_server import Certificates, EtcdServer


def client_of(server: EtcdServer, **settings: object) -> Etcd:
    return Etcd(EtcdSettings(server.endpoints, **settings), SystemClock())  # type: ignore[arg-type]


async def test_a_transaction_takes_one_branch_and_answers_each_operation(client: Etcd) -> None:
    first = await client.txn([absent("/a")], [put("/a", b"1"), put("/ab", b"2")])
    assert first.succeeded
    assert first.responses == ((), ())
    second = await client.txn([absent("/a")], [delete("/a")], [fetch("/a", prefix=True)])
    assert not second.succeeded
    assert [kv.key for kv in second.responses[0]] == ["/a", "/ab"]
    kv = await client.get("/a")
    assert kv is not None
    assert (kv.value, kv.create_revision, kv.mod_revision) == (b"1", first.revision, first.revision)


async def test_comparisons_tell_creation_from_change(client: Etcd) -> None:
    created = (await client.txn([], [put("/a", b"1")])).revision
    changed = (await client.txn([created_at("/a", created)], [put("/a", b"2")])).revision
    assert not (await client.txn([modified_at("/a", created)], [])).succeeded
    assert (await client.txn([created_at("/a", created)], [])).succeeded
    assert (await client.txn([modified_at("/a", changed)], [delete("/", prefix=True)])).succeeded
    assert await client.get("/a") is None


async def test_a_span_has_many_pages_and_one_revision(client: Etcd) -> None:
    for start in range(0, 2_500, 125):
        await client.txn([], [put(f"/many/{n:05}", b"x") for n in range(start, start + 125)])
    last = await client.txn([], [put("/other/a", b"y"), put("/manx", b"z")])
    snapshot = await client.span(["/many/", "/nothing/", "/other/"])
    assert [kv.key for kv in snapshot.kvs] == [f"/many/{n:05}" for n in range(2_500)] + ["/other/a"]
    assert snapshot.revision == last.revision


async def test_a_page_that_fails_is_read_again_and_not_the_whole_list(etcd: EtcdServer) -> None:
    pages = []

    class Prefixes(tuple[str, ...]):
        """Between its two, etcd hangs for longer than one call lasts."""

        __slots__ = ()

        def __iter__(self) -> Iterator[str]:
            pages.append("/a/")
            yield "/a/"
            etcd.ctl("put", "/b/late", "")
            etcd.pause()
            asyncio.get_running_loop().call_later(0.7, etcd.resume)
            pages.append("/b/")
            yield "/b/"

    client = client_of(etcd, call_timeout_s=0.5)
    written = await client.txn([], [put("/a/1", b""), put("/b/1", b"")])
    snapshot = await client.span(Prefixes())
    assert [kv.key for kv in snapshot.kvs] == ["/a/1", "/b/1"]
    assert (snapshot.revision, pages) == (written.revision, ["/a/", "/b/"])
    await client.close()


async def test_keys_of_others_need_not_be_text(client: Etcd, etcd: EtcdServer) -> None:
    key = b"/raw/\xff\xfe".decode("utf-8", "surrogateescape")
    await client.txn([], [put(key, b"\xff")])
    assert [kv.key for kv in (await client.range("/raw/")).kvs] == [key]
    await client.txn([], [delete("/raw/", prefix=True)])
    assert (await client.range("/raw/")).kvs == ()


async def test_a_lease_carries_keys_until_it_is_gone(client: Etcd) -> None:
    lease = await client.grant(5)
    await client.txn([], [put("/leased", b"", lease)])
    assert await client.keep_alive_once(lease) == 5
    kv = await client.get("/leased")
    assert kv is not None
    assert kv.lease == lease
    await client.revoke(lease)
    await client.revoke(lease)
    assert await client.get("/leased") is None
    assert await client.keep_alive_once(lease) == 0
    with pytest.raises(SessionLost):
        await client.txn([], [put("/leased", b"", lease)])


async def test_limits_of_etcd_are_told_apart(client: Etcd) -> None:
    with pytest.raises(TooLarge):
        await client.txn([], [put("/big", bytes(1_600_000))])
    with pytest.raises(TooLarge):
        await client.txn([], [put("/big", bytes(3_000_000))])
    assert await client.get("/big") is None


async def test_a_full_etcd_is_exhausted_but_can_be_read(tmp_path: Path) -> None:
    with EtcdServer(extra=("--quota-backend-bytes=2000000",)) as server:
        client = client_of(server)

        async def fill() -> None:
            # etcd compares its quota with what it had at its last commit, ten times a second.
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                await client.txn([], [put("/0", bytes(500_000))])

        with pytest.raises(Exhausted, match="compact"):
            await fill()
        assert await client.get("/0") is not None
        assert (await client.status()).alarms
        await client.close()


async def test_a_server_that_is_down_took_nothing(etcd: EtcdServer) -> None:
    client = client_of(etcd)
    etcd.stop()
    started = time.monotonic()
    with pytest.raises(EtcdUnavailable):
        await client.txn([], [put("/a", b"1")])
    assert time.monotonic() - started < 3.5
    # A server that comes back within the call's time limit is not an error.
    reading = asyncio.create_task(client.get("/a"))
    await asyncio.to_thread(etcd.start)
    assert await reading is None
    await client.close()


async def test_a_write_whose_answer_is_lost_is_unknown(etcd: EtcdServer) -> None:
    client = client_of(etcd, call_timeout_s=1.0)
    await client.get("/a")
    etcd.pause()
    writing = asyncio.create_task(client.txn([], [put("/a", b"1")]))
    with pytest.raises(OutcomeUnknown):
        await writing
    with pytest.raises(EtcdUnavailable):
        await client.txn([], [fetch("/a")])
    etcd.resume()
    await client.get("/a")
    await client.close()


async def test_a_killed_connection_leaves_a_write_unknown(client: Etcd, etcd: EtcdServer) -> None:
    await client.get("/a")
    etcd.pause()
    writing = asyncio.create_task(client.txn([], [put("/a", b"1")]))
    await asyncio.sleep(0)
    await asyncio.to_thread(time.sleep, 0.2)
    etcd.kill()
    with pytest.raises(OutcomeUnknown):
        await writing


async def test_calls_go_on_when_members_die_or_hang(trio: EtcdServer) -> None:
    client = client_of(trio, call_timeout_s=1.5)
    for member in range(3):
        trio.kill(member)
        # A write that met no connection goes to the next member by itself; one that was under
        # way while etcd had no leader may be unknown, and is repeated by its caller.
        await write_until_known(client, f"/killed/{member}")
        await asyncio.to_thread(trio.start, member)
    for member in range(3):
        trio.pause(member)
        await write_until_known(client, f"/paused/{member}")
        assert await client.get(f"/paused/{member}") is not None
        trio.resume(member)
    assert len((await client.range("/killed/")).kvs) == 3
    await client.close()


async def write_until_known(client: Etcd, key: str) -> None:
    async with asyncio.timeout(15):
        while True:
            try:
                await client.txn([], [put(key, b"")])
            except (OutcomeUnknown, EtcdUnavailable):
                continue
            return


async def test_a_minority_takes_no_write_and_serves_no_stale_read(trio: EtcdServer) -> None:
    client = Etcd(EtcdSettings(trio.endpoints[:1], call_timeout_s=1.0), SystemClock())
    await client.txn([], [put("/a", b"1")])
    trio.kill(1, 2)
    with pytest.raises((EtcdUnavailable, OutcomeUnknown)):
        await client.txn([], [put("/a", b"2")])
    with pytest.raises(EtcdUnavailable):
        await client.get("/a")
    await client.close()


@pytest.mark.threat(3)
async def test_tls_needs_the_right_authority(tmp_path: Path) -> None:
    pair = Certificates.issue(tmp_path / "right")
    other = Certificates.issue(tmp_path / "wrong")
    with EtcdServer(certificates=pair) as server:
        good = client_of(
            server, ca_file=pair.ca_file, cert_file=pair.cert_file, key_file=pair.key_file
        )
        await good.txn([], [put("/a", b"1")])
        assert await good.get("/a") is not None
        await good.close()
        bad = client_of(
            server,
            ca_file=other.ca_file,
            cert_file=other.cert_file,
            key_file=other.key_file,
            call_timeout_s=1.0,
        )
        with pytest.raises(EtcdUnavailable):
            await bad.get("/a")
        await bad.close()


async def test_a_login_is_renewed_when_etcd_forgets_it(etcd: EtcdServer) -> None:
    etcd.enable_auth("crawler", "secret")
    client = client_of(etcd, username="crawler", password="secret")
    await client.txn([], [put("/a", b"1")])
    # Simple tokens live in the server's memory.
    await asyncio.to_thread(etcd.stop)
    await asyncio.to_thread(etcd.start)
    kvs = await asyncio.gather(*(client.get("/a") for _ in range(20)))
    assert all(kvs)
    assert (await client.txn([], [put("/a", b"2")])).succeeded
    lease = await client.grant(5)
    assert await client.keep_alive_once(lease) == 5
    await client.close()


@pytest.mark.threat(3)
async def test_a_wrong_or_missing_login_says_so(etcd: EtcdServer) -> None:
    harmless = client_of(etcd, username="crawler", password="secret")
    assert await harmless.get("/a") is None  # authentication is off: nothing to log in to
    etcd.enable_auth("crawler", "secret")
    assert await harmless.get("/a") is None
    await harmless.close()
    wrong = client_of(etcd, username="crawler", password="wrong")
    with pytest.raises(Hindered, match="login"):
        await wrong.get("/a")
    await wrong.close()
    nobody = client_of(etcd)
    with pytest.raises(Hindered, match="user"):
        await nobody.txn([], [put("/a", b"1")])
    await nobody.close()


async def test_a_wiped_etcd_is_noticed(client: Etcd, etcd: EtcdServer) -> None:
    for n in range(5):
        await client.txn([], [put("/a", b"%d" % n)])
    assert client.rewinds == 0
    etcd.kill()
    await asyncio.to_thread(etcd.start)
    await client.get("/a")
    assert client.rewinds == 0
    etcd.kill()
    etcd.wipe()
    await asyncio.to_thread(etcd.start)
    await client.get("/a")
    await client.get("/a")
    assert client.rewinds == 1


async def test_status_tells_the_version(client: Etcd) -> None:
    status = await client.status()
    assert status.version.startswith("3.")
    assert status.leader
    assert status.alarms == ()
    assert status.db_bytes > 0
