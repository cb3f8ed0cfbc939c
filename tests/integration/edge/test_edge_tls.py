"""Masters with certificates and tokens, behind entries that have both too."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp
import grpc
from grpc import aio

from crawler.access import Role, line_of, new_token
from crawler.cli.main import run_command
from crawler.rpc.pb import greeter_pb2, greeter_pb2_grpc
from tests.acceptance.cluster import Cluster
from tests.etcd_server import EtcdServer
from tests.integration.edge.stage import Stage


async def test_entries_speak_tls_on_both_sides(tmp_path: Path, etcd: EtcdServer) -> None:
    tls, tokens = tmp_path / "tls", tmp_path / "tokens"
    run_command(["certs", str(tls), "master-1=127.0.0.1", "entry=127.0.0.1"])
    pair = (tls / "entry.pem").read_bytes(), (tls / "entry.key").read_bytes()
    (tls / "entry.both.pem").write_bytes(b"".join(pair))
    token = new_token()
    tokens.write_text(line_of(token, "ci", Role.OPERATE) + "\n")
    cluster = Cluster(tmp_path, etcd)
    stages = []
    try:
        cluster.start_master(
            "1",
            CRAWLER_TOKENS=str(tokens),
            CRAWLER_TLS_CA=str(tls / "ca.pem"),
            CRAWLER_TLS_CERT=str(tls / "master-1.pem"),
            CRAWLER_TLS_KEY=str(tls / "master-1.key"),
        )
        for kind in ("nginx", "haproxy"):
            (tmp_path / kind).mkdir()
            stages.append(Stage(tmp_path / kind, etcd, kind, tls))
            stages[-1].start_door()
            stages[-1].start_edge()
        trusted = ssl.create_default_context(cafile=str(tls / "ca.pem"))
        roots = (tls / "ca.pem").read_bytes()
        shown = grpc.ssl_channel_credentials(roots, pair[1], pair[0])
        bare = grpc.ssl_channel_credentials(roots)
        for stage in stages:
            await stage.members("1", limit_s=30.0)
            url = f"{stage.url.replace('http:', 'https:')}crawler/resource"
            assert await status(url, trusted, "") == 401
            assert await status(url, trusted, token) == 200
            assert await greeting(stage.address, shown, token) == "Hello x"
            assert await greeting(stage.address, bare, token) != "Hello x"
    finally:
        for stage in stages:
            stage.stop()
        cluster.stop()


async def status(url: str, trusted: ssl.SSLContext, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(url, ssl=trusted) as answer,
    ):
        return answer.status


async def greeting(address: str, shown: grpc.ChannelCredentials, token: str) -> str:
    """What the master says; else how the call ended."""
    async with aio.secure_channel(address, shown) as channel:
        stub = greeter_pb2_grpc.GreeterStub(channel)
        metadata = (("authorization", f"Bearer {token}"),)
        try:
            call = stub.Hello(greeter_pb2.Request(name="x"), timeout=5.0, metadata=metadata)
            return str((await call).greeting)
        except aio.AioRpcError as error:
            return error.code().name
