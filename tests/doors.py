"""What servers offer, as they tell themselves, and that they refuse it to strangers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from crawler.model import MASTER_SERVICE, WORKER_SERVICE


async def routes_of(url: str, token: str) -> list[tuple[str, str]]:
    """Every method and path of an API, those that its document leaves out included."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{url}/openapi.json") as response,
    ):
        document = await response.json()
    described = [
        (method.upper(), path) for path, each in document["paths"].items() for method in each
    ]
    plain = ("/openapi.json", "/docs", "/docs.css", "/metrics", "/health")
    return [*described, *(("GET", path) for path in plain)]


def metadata(token: str | None) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


async def offered_rpcs(channel: grpc.aio.Channel, token: str) -> list[str]:
    """Every method that a server offers, as it tells by reflection, under both names; but the check
    of health, which is open."""
    listed = await reflect(channel, token, list_services="")
    services = [each.name for each in listed.list_services_response.service]
    found = []
    for service in services:
        answer = await reflect(channel, token, file_containing_symbol=service)
        for packed in answer.file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(packed)
            prefix = f"{file.package}." if file.package else ""
            found += [
                f"{service}/{method.name}"
                for each in file.service
                if prefix + each.name == service
                for method in each.method
            ]
    twins = [
        f"{owner}.{name}"
        for name in found
        for owner in (MASTER_SERVICE, WORKER_SERVICE)
        if not name.startswith("grpc.")
    ]
    return [name for name in (*found, *twins) if name != "grpc.health.v1.Health/Check"]


async def reflect(channel: grpc.aio.Channel, token: str, **asked: str) -> Any:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(**asked)
    (answer,) = [
        each async for each in stub.ServerReflectionInfo(iter([request]), metadata=metadata(token))
    ]
    return answer


async def each_refuses(
    channel: grpc.aio.Channel, methods: Sequence[str], token: str | None
) -> None:
    for method in methods:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel, method, token)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED, method


async def ask(channel: grpc.aio.Channel, method: str, token: str | None) -> None:
    shown = metadata(token)
    if method.startswith("grpc.reflection"):
        # Nothing is sent: a client that still writes when it is refused may see its own error.
        both: Any = channel.stream_stream(f"/{method}", bytes, bytes)
        [each async for each in both(metadata=shown)]
    elif method.endswith("Health/Watch"):
        answers: Any = channel.unary_stream(f"/{method}", bytes, bytes)
        [each async for each in answers(b"", metadata=shown)]
    else:
        await channel.unary_unary(f"/{method}", bytes, bytes)(b"", metadata=shown)
