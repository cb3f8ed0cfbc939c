"""The client against the real API: HTTP, web, gRPC, and a fake master at the end."""

from __future__ import annotations

import asyncio
import inspect
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from crawler.client import Change, Client, Placement, Retried, SyncClient, Wished
from crawler.errors import (
    Conflict,
    CrawlerError,
    EtcdUnavailable,
    Exhausted,
    InvalidInput,
    NoLeader,
    NotFound,
    OutcomeUnknown,
    Refused,
    StoreUnavailable,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from crawler.model import Event, PageState, Progress, RunRecord, State
from tests.fakes.api import FakeCluster
from tests.fakes.clock import SleepClock
from tests.fakes.control import CREATED_NS, FIRST_ID
from tests.fakes.results import item, page

SHOP = {"start_urls": ["https://shop.example/"]}
WORKER = "go.micro.server.worker-2"


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL that refuses connections: its port is bound, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@asynccontextmanager
async def answering(answer: bytes | None, seen: list[bytes]) -> AsyncIterator[str]:
    """A server that reads a request, notes its first line, sends ``answer`` and hangs up; with
    None it says nothing and waits for the caller to hang up."""
    handlers: list[asyncio.Task[None] | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head.partition(b"\r\n")[0])
        if length := re.search(rb"(?i)content-length: (\d+)", head):
            await reader.readexactly(int(length[1]))
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*filter(None, handlers))


async def test_add_put_and_delete(client: Client) -> None:
    assert await client.add("a") == Placement(WORKER, "192.168.0.107:9089")
    assert (await client.add("b", SHOP)).node == WORKER
    assert (await client.add("b", SHOP)).node == WORKER
    with pytest.raises(Conflict):
        await client.add("b", {})
    assert await client.put("b", {}) == Change(
        id=str(FIRST_ID + 1), name="b", assigned_node=WORKER, address="192.168.0.107:9089",
        created=False, changed=True,
    )  # fmt: skip
    await client.delete("a")
    with pytest.raises(NotFound, match="no such task"):
        await client.delete("a")


async def test_a_resource_comes_with_state_definition_and_progress(
    cluster: FakeCluster, client: Client
) -> None:
    await client.put("büch.1", SHOP)
    cluster.results.counters[str(FIRST_ID)] = (1, Progress(known=10, done=4, items=7))
    shown = await client.resource("büch.1")
    assert (shown.name, shown.state, shown.creation_time) == ("büch.1", State.RUNNING, CREATED_NS)
    assert shown.definition == SHOP
    assert shown.progress is not None
    assert (shown.progress.run, shown.progress.known, shown.progress.pending) == (1, 10, 6)


async def test_lists_are_complete(cluster: FakeCluster, client: Client) -> None:
    for number in range(1203):
        cluster.master.put(f"n{number:04}", "")
    listed = await client.resources()
    assert [each.name for each in listed] == sorted(cluster.master.resources)
    assert await client.resources(State.PAUSED) == ()
    found = await client.resources(contains="N000", page_size=3)
    assert [each.name for each in found] == [f"n000{n}" for n in range(10)]
    page = await client.resource_page(prefix="n12", limit=2, cursor="n1200")
    assert [each.name for each in page.resources] == ["n1201", "n1202"]
    assert (page.next, sum(page.totals.values())) == ("", 3)


async def test_a_start_with_a_key_is_one_run(cluster: FakeCluster, client: Client) -> None:
    await client.put("a", SHOP)
    for run in (2, 2):
        cluster.master.resources["a"].state = "finished"
        assert await client.start("a", key="k") == Wished(True, run)
    assert (await client.start("a")).run == 3


async def test_steering_and_nodes(cluster: FakeCluster, client: Client) -> None:
    await client.put("a", SHOP)
    states = []
    for step in (client.pause, client.resume, client.stop, client.start):
        await step("a")
        states.append((await client.resource("a")).state)
    assert states == [State.PAUSED, State.RUNNING, State.STOPPED, State.RUNNING]
    await client.drain(WORKER)
    assert [node.drained for node in await client.nodes()] == [False, True]
    await client.drain(WORKER, undo=True)
    assert [node.drained for node in await client.nodes()] == [False, False]
    with pytest.raises(NotFound):
        await client.drain("go.micro.server.worker-9")


async def test_records_are_read_to_the_end(cluster: FakeCluster, client: Client) -> None:
    await client.put("a", SHOP)
    cluster.results.item_records[str(FIRST_ID)] = [item(n, name=f"n{n}") for n in range(1, 12)]
    cluster.results.page_records[str(FIRST_ID)] = [
        page(n, PageState.FAILED if n % 2 else PageState.DONE, 404 if n % 2 else 200)
        for n in range(10)
    ]
    event = Event(seq=1, at=1.5, kind="claimed", detail="", node=WORKER)
    cluster.results.event_records[str(FIRST_ID)] = [event]
    assert [each.seq async for each in client.items("a", page_size=5)] == list(range(1, 12))
    assert [each.seq async for each in client.items("a", after=9)] == [10, 11]
    failed = client.pages("a", state=PageState.FAILED, page_size=2)
    assert [each.status async for each in failed] == [404] * 5
    assert len([each async for each in client.pages("a", status=200)]) == 5
    assert [each async for each in client.events("a")] == [event]
    cluster.results.run_records[str(FIRST_ID)] = [
        RunRecord(run, 1_700_000_000 * (run - 1), 5.0, 6.0, Progress(done=run)) for run in (1, 2)
    ]
    told = await client.runs("a")
    assert [(each.run, each.due_at, each.done) for each in told.runs] == [
        (1, 0, 1),
        (2, 1_700_000_000, 2),
    ]
    assert (told.next_due, told.timezone) == (None, "")


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("start_urls[0]: no URL", field="start_urls[0]"),
        TooLarge("definition: larger than 262144 bytes"),
        NotFound("no such task"),
        Conflict("a exists with another definition"),
        Refused("not you"),
        Unauthenticated("who are you?"),
        Unavailable("later"),
        NoLeader("no master leads"),
        EtcdUnavailable("etcd is away"),
        StoreUnavailable("the database is away"),
        Exhausted("too many"),
        OutcomeUnknown("who knows"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_errors_pass_the_whole_stack(
    cluster: FakeCluster, client: Client, error: CrawlerError
) -> None:
    cluster.master.fail_next.append(error)
    with pytest.raises(type(error)) as caught:
        await client.put("a", {})
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert getattr(caught.value, "field", "") == getattr(error, "field", "")


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "..", "election", "x" * 129])
async def test_bad_names_are_refused_before_they_are_sent(
    cluster: FakeCluster, client: Client, name: str
) -> None:
    for call in (client.add(name), client.delete(name), client.resource(name), client.stop(name)):
        with pytest.raises(InvalidInput) as caught:
            await call
        assert caught.value.field == "name"
    assert not cluster.master.calls


async def test_what_is_no_json_is_refused(client: Client) -> None:
    for value in (float("nan"), object(), b"x"):
        with pytest.raises(InvalidInput):
            await client.put("a", {"x": value})


async def test_definite_refusals_are_repeated(cluster: FakeCluster) -> None:
    cluster.master.fail_next += [NoLeader("no master leads")] * 3
    async with Client(cluster.url, retry_for_s=10.0, clock=SleepClock()) as client:
        await client.put("a", SHOP)
    assert cluster.master.calls == ["PutResource"] * 4


async def test_repeating_ends(cluster: FakeCluster) -> None:
    cluster.master.fail_next += [NoLeader("no master leads")] * 1000
    clock = SleepClock()
    async with Client(cluster.url, retry_for_s=100.0, clock=clock) as client:
        with pytest.raises(NoLeader):
            await client.nodes()
    assert 90.0 <= clock.elapsed() < 100.0


async def test_unknown_outcomes_are_repeated_for_reads_only(cluster: FakeCluster) -> None:
    async with Client(cluster.url, retry_for_s=10.0) as client:
        cluster.master.fail_next += [OutcomeUnknown("?")]
        assert len(await client.nodes()) == 2
        cluster.master.fail_next += [OutcomeUnknown("?")]
        with pytest.raises(OutcomeUnknown):
            await client.put("a", SHOP)


async def test_the_next_master_is_tried(cluster: FakeCluster, nobody: str) -> None:
    async with Client([nobody, cluster.url], retry_for_s=10.0) as client:
        await client.put("a", SHOP)
        await client.put("a", SHOP)
    assert cluster.master.calls == ["PutResource"] * 2


async def test_nobody_there_is_definitely_without_effect(nobody: str) -> None:
    async with Client(nobody, retry_for_s=0.0) as client:
        with pytest.raises(Unavailable, match="cannot reach"):
            await client.put("a", SHOP)


@pytest.mark.parametrize("method", ["put", "delete", "pause"])
async def test_a_connection_lost_in_mid_call_is_unknown_and_not_repeated(method: str) -> None:
    seen: list[bytes] = []
    async with answering(b"", seen) as url, Client(url, retry_for_s=5.0) as client:
        calls = {
            "put": client.put("a", {}),
            "delete": client.delete("a"),
            "pause": client.pause("a"),
        }
        with pytest.raises(OutcomeUnknown):
            await calls.pop(method)
        for unused in calls.values():
            unused.close()
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]", OutcomeUnknown),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", OutcomeUnknown),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xff", OutcomeUnknown),
        (b"not HTTP at all\r\n\r\n", OutcomeUnknown),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops", OutcomeUnknown),
        (b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}", OutcomeUnknown),
        (b"HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\noops", Unavailable),
        (b"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", InvalidInput),
        (b"HTTP/1.1 404 X\r\nContent-Length: 13\r\n\r\n{\"details\":7}", NotFound),
        (b"HTTP/1.1 400 X\r\nContent-Length: 15\r\n\r\n{\"details\":[7]}", InvalidInput),
    ],
)  # fmt: skip
async def test_strange_answers_are_errors_of_ours(answer: bytes, kind: type[CrawlerError]) -> None:
    async with answering(answer, []) as url, Client(url, retry_for_s=0.0) as client:
        with pytest.raises(kind):
            await client.put("a", {})


async def test_a_server_that_says_nothing_is_an_unknown_outcome() -> None:
    seen: list[bytes] = []
    async with answering(None, seen) as url:
        async with Client(url, timeout_s=0.3, retry_for_s=5.0) as client:
            with pytest.raises(OutcomeUnknown):
                await client.put("a", {})
        assert len(seen) == 1


@pytest.mark.parametrize("url", ["", "ftp://a", "http://", "http://[::1", "a b", "http://a/?x=1"])
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Client(url)
    assert caught.value.field == "master"


@pytest.mark.threat(4)
@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1:8081",
        "master.example:8081",
        "HTTP://127.0.0.1@10.0.0.1",
        "http://[2001:db8::1]",
    ],
)
def test_a_token_does_not_leave_this_machine_in_clear(url: str) -> None:
    with pytest.raises(Refused, match=r"would travel to http://.* in clear"):
        Client(["http://127.0.0.1:8081", url], token="crw_x")
    Client(url)
    Client(url, token="crw_x", insecure=True)
    for safe in (
        "https://10.0.0.1:8081",
        "http://localhost:8081",
        "http://[::1]:8081",
        "127.0.0.2",
    ):
        Client(safe, token="crw_x")


async def test_the_scheme_may_be_left_out(cluster: FakeCluster) -> None:
    async with Client(cluster.url.removeprefix("http://")) as client:
        assert len(await client.nodes()) == 2


async def test_the_synchronous_client_does_the_same(cluster: FakeCluster) -> None:
    def use(url: str) -> None:
        with SyncClient(url, retry_for_s=0.0) as client:
            assert client.add("b").node == WORKER
            assert client.put("a", SHOP).created
            for step in (client.pause, client.resume, client.stop, client.start):
                step("a")
            client.drain(WORKER)
            assert [node.drained for node in client.nodes()] == [False, True]
            assert [each.name for each in client.resources()] == ["a", "b"]
            items = client.items(client.resource("b").name, page_size=2)
            assert [each.seq for each in items] == [1, 2, 3]
            assert next(client.items("b")).seq == 1
            assert list(client.pages("b")) == []
            assert list(client.events("b")) == []
            client.delete("a")
            with pytest.raises(NotFound):
                client.delete("a")
            client.close()
        client.close()

    cluster.results.item_records[str(FIRST_ID)] = [item(n) for n in range(1, 4)]
    await asyncio.to_thread(use, cluster.url)


def test_the_synchronous_client_needs_its_block() -> None:
    with pytest.raises(RuntimeError):
        SyncClient().nodes()


def test_both_clients_have_the_same_surface() -> None:
    def surface(kind: type) -> dict[str, list[tuple[str, object, object]]]:
        return {
            name: [
                (p.name, p.kind, p.default) for p in inspect.signature(member).parameters.values()
            ]
            for name, member in vars(kind).items()
            if inspect.isfunction(member) and (name == "__init__" or not name.startswith("_"))
        }

    blocking = surface(SyncClient)
    assert blocking.pop("close"), "it has a thread to end"
    assert blocking == surface(Client)


async def test_a_retry_asks_until_there_is_no_more(cluster: FakeCluster, client: Client) -> None:
    await client.put("a", SHOP)
    cluster.master.failed["a"] = [500, 404, 503, 0, 502, 599, 500]
    assert await client.retry("a", status="5xx", dry_run=True) == Retried(1, 5)
    assert cluster.master.retried == []
    assert await client.retry("a", status="5xx") == Retried(1, 5)
    assert cluster.master.retried == [500, 503, 502, 599, 500]
    assert await client.retry("a", status="0", reason="x", run=1) == Retried(1, 1)
    with pytest.raises(Conflict, match="not the latest"):
        await client.retry("a", run=2)
    with pytest.raises(InvalidInput, match="status: an HTTP status"):
        await client.retry("a", status="5x")
