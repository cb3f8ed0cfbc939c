"""Certificates made by us do what they are for, over real sockets; others are turned away."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crawler.errors import Conflict, InvalidInput, Misconfigured, Unavailable
from crawler.ops.certificates import make_authority, make_node
from crawler.rpc.calls import CallSettings, Channels, MasterCalls
from crawler.rpc.pb import control_pb2
from crawler.rpc.server import Listening, serve
from crawler.tls import Pair, client_context, read_pair, server_context
from crawler.web.server import serve as serve_http
from tests.fakes.control import FakeMaster


def pair_in(folder: Path, name: str = "node", *hosts: str) -> Pair:
    make_authority(folder)
    make_node(folder, name, hosts)
    return read(folder, name)


def read(folder: Path, name: str) -> Pair:
    return read_pair(*(str(folder / each) for each in ("ca.pem", f"{name}.pem", f"{name}.key")))


@asynccontextmanager
async def listening(pair: Pair) -> AsyncIterator[Listening]:
    async with serve("127.0.0.1:0", FakeMaster().services, pair=pair, grace_s=0.1) as found:
        yield found


@pytest.mark.threat(4)
async def test_nodes_of_one_authority_call_one_another(tmp_path: Path) -> None:
    server, caller = pair_in(tmp_path, "master-1"), pair_in(tmp_path, "master-2")
    async with listening(server) as found:
        channels = Channels(caller)
        calls = MasterCalls(channels, found.near)
        await calls.put_resource(control_pb2.PutRequest(name="a", definition_json="{}"))
        await channels.close()


@pytest.mark.threat(4)
async def test_strangers_do_not_get_as_far_as_a_call(tmp_path: Path) -> None:
    ours, theirs = pair_in(tmp_path / "ours"), pair_in(tmp_path / "theirs")
    async with listening(ours) as found:
        for channels in (Channels(), Channels(theirs)):
            calls = MasterCalls(channels, found.near, settings=CallSettings(timeout_s=1.0))
            with pytest.raises(Unavailable):
                await calls.list_nodes()
            await channels.close()
        # Trusting us is not enough: a certificate must be shown.
        credentials = grpc.ssl_channel_credentials(ours.ca)
        async with grpc.aio.secure_channel(found.near, credentials) as channel:
            request = health_pb2.HealthCheckRequest()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await health_pb2_grpc.HealthStub(channel).Check(request, timeout=2.0)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.threat(4)
async def test_a_name_that_the_certificate_does_not_hold_is_refused(tmp_path: Path) -> None:
    pair = pair_in(tmp_path, "node", "10.1.2.3", "m1.example")
    async with listening(pair) as found:
        credentials = grpc.ssl_channel_credentials(pair.ca, pair.key, pair.cert)
        for name, code in (("m1.example", None), ("m2.example", grpc.StatusCode.UNAVAILABLE)):
            options = [("grpc.ssl_target_name_override", name)]
            async with grpc.aio.secure_channel(found.near, credentials, options) as channel:
                call = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=2.0
                )
                if code is None:
                    assert (await call).status == 1
                    continue
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert caught.value.code() is code


async def test_http_shows_the_same_certificate(tmp_path: Path) -> None:
    pair = pair_in(tmp_path)
    app = aiohttp.web.Application()
    async with serve_http(app, "127.0.0.1", 0, tls=server_context(pair), grace_s=0.1) as port:
        trusting = client_context(str(tmp_path / "ca.pem"))
        async with aiohttp.ClientSession() as session:
            async with session.get(f"https://127.0.0.1:{port}/", ssl=trusting) as response:
                assert response.status == 404
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"https://127.0.0.1:{port}/")
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://127.0.0.1:{port}/")


@pytest.mark.threat(27)
def test_keys_belong_to_their_owner_alone(tmp_path: Path) -> None:
    pair_in(tmp_path / "tls")
    modes = {each.name: each.stat().st_mode & 0o777 for each in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "node.pem": 0o644, "node.key": 0o600}
    assert b"PRIVATE" not in repr(read(tmp_path / "tls", "node")).encode()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first = pair_in(tmp_path, "node", "10.0.0.1")
    make_authority(tmp_path)
    assert not make_node(tmp_path, "node", ["10.0.0.1"])
    with pytest.raises(Conflict, match=r"there is already .*node\.pem"):
        make_node(tmp_path, "node", ["10.0.0.2"])
    other = pair_in(tmp_path / "other", "node", "10.0.0.1")
    (tmp_path / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    (tmp_path / "ca.pem").write_bytes(other.ca)
    with pytest.raises(Conflict, match="another authority"):
        make_node(tmp_path, "node", ["10.0.0.1"])
    assert (tmp_path / "node.pem").read_bytes() == first.cert
    assert (tmp_path / "node.key").read_bytes() == first.key


def test_an_authority_whose_key_is_kept_elsewhere_is_not_made_anew(tmp_path: Path) -> None:
    pair_in(tmp_path)
    (tmp_path / "ca.key").unlink()
    make_authority(tmp_path)
    with pytest.raises(Misconfigured, match=r"ca\.key is missing"):
        make_node(tmp_path, "another", ())
    assert {each.name for each in tmp_path.iterdir()} == {"ca.pem", "node.key", "node.pem"}


def test_what_is_no_pair_is_refused(tmp_path: Path) -> None:
    pair_in(tmp_path, "one")
    make_node(tmp_path, "two", ())
    with pytest.raises(Misconfigured, match="are no pair"):
        read_pair(*(str(tmp_path / each) for each in ("ca.pem", "one.pem", "two.key")))
    (tmp_path / "empty").touch()
    with pytest.raises(Misconfigured, match="holds no certificate"):
        read_pair(*(str(tmp_path / each) for each in ("empty", "one.pem", "one.key")))
    with pytest.raises(InvalidInput, match="is no host"):
        make_node(tmp_path, "three", ["a" * 70 + "é"])


def test_old_protocols_are_not_spoken(tmp_path: Path) -> None:
    assert server_context(pair_in(tmp_path)).minimum_version is ssl.TLSVersion.TLSv1_2
