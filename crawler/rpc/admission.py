"""Asks every caller of a gRPC server who it is, and counts it, before the call is carried out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc

from crawler.access import STRANGER, Access, Caller, Role, acting_for, asking
from crawler.errors import CrawlerError, Exhausted, Refused, Unauthenticated
from crawler.model import MASTER_SERVICE
from crawler.rates import Rates
from crawler.rpc.errors import to_status
from crawler.rpc.incoming import MARK_KEY, Context

KEY = "authorization"
# Probes have no tokens, and learn no more than that we live. A watch is no probe: streams that
# never end could take all the calls that a server carries out at a time.
_OPEN = "/grpc.health.v1.Health/Check"
_READING = (
    *("Get", "List", "Hello", "Watch", "ServerReflectionInfo"),
    *("IsAlive", "AskAlive", "VerifyNode"),
)
# They take the cluster's secret instead of a token, and look at it themselves.
_SECRET = frozenset(
    {"/communicate.Elections/RequestElection", "/communicate.Elections/UpdateSecret"}
)

if TYPE_CHECKING:  # the stubs' classes are generic, gRPC's own are not
    Handler = grpc.RpcMethodHandler[Any, Any]
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    Interceptor = grpc.aio.ServerInterceptor


class Admission(Interceptor):
    """Refuses unknown methods too: what there is, is nobody's business without a token."""

    def __init__(self, access: Access, rates: Rates, counted: Callable[[str], bool]) -> None:
        """``counted`` tells whether a mark is of a master that has counted its calls already."""
        self._access = access
        self._rates = rates
        self._counted = counted

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(details)
        if details.method == _OPEN:
            return handler
        header = _metadata(details, KEY)
        try:
            caller = self._caller(details.method, header)
            if not self._counted(_metadata(details, MARK_KEY) or ""):
                self._rates.take(caller.name)
        except (Unauthenticated, Refused, Exhausted) as error:
            return _refusing(error, handler)
        acting_for.set(header or "")
        asking.set(caller)
        return handler

    def _caller(self, method: str, header: str | None) -> Caller:
        plain = "/" + method[1:].removeprefix(f"{MASTER_SERVICE}.")
        if plain not in _SECRET:
            return self._access.admit(header, _need(method))
        return STRANGER if header is None else self._access.admit(header, Role.READ)


def _need(method: str) -> Role:
    return Role.READ if method.rpartition("/")[2].startswith(_READING) else Role.OPERATE


def _metadata(details: grpc.HandlerCallDetails, wanted: str) -> str | None:
    for key, value in details.invocation_metadata or ():
        if key == wanted:
            return value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return None


def _refusing(error: CrawlerError, handler: Handler | None) -> Handler:
    """A method of the same kind that only refuses; None stands for one that there is not."""

    async def refuse(_: object, context: Context) -> None:
        code, message, details = to_status(error)
        await context.abort(code, message, details)

    if handler is None or not handler.response_streaming:
        return grpc.unary_unary_rpc_method_handler(refuse)
    if handler.request_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse)
    return grpc.unary_stream_rpc_method_handler(refuse)
