"""Asks every caller of a gRPC server who it is, before the call reaches its method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc

from crawler.access import Access, Role, acting_for
from crawler.errors import CrawlerError, Refused, Unauthenticated
from crawler.rpc.errors import to_status
from crawler.rpc.incoming import Context

KEY = "authorization"
_OPEN = "/grpc.health.v1.Health/"  # probes have no tokens, and learn no more than that we live
_READING = ("Get", "List", "Hello", "ServerReflectionInfo")

if TYPE_CHECKING:  # the stubs' classes are generic, gRPC's own are not
    Handler = grpc.RpcMethodHandler[Any, Any]
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    Interceptor = grpc.aio.ServerInterceptor


class Admission(Interceptor):
    """Refuses unknown methods too: what there is, is nobody's business without a token."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(details)
        if details.method.startswith(_OPEN):
            return handler
        header = _header(details)
        try:
            self._access.admit(header, _need(details.method))
        except (Unauthenticated, Refused) as error:
            return _refusing(error, handler)
        acting_for.set(header or "")
        return handler


def _need(method: str) -> Role:
    return Role.READ if method.rpartition("/")[2].startswith(_READING) else Role.OPERATE


def _header(details: grpc.HandlerCallDetails) -> str | None:
    for key, value in details.invocation_metadata or ():
        if key == KEY:
            return value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return None


def _refusing(error: CrawlerError, handler: Handler | None) -> Handler:
    """A method of the same kind that only refuses; None stands for one that there is not."""

    async def refuse(_: object, context: Context) -> None:
        code, message, details = to_status(error)
        await context.abort(code, message, details)

    if handler is not None and handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse)
    return grpc.unary_unary_rpc_method_handler(refuse)
