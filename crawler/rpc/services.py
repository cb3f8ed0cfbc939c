"""The services a process offers, under their plain and their go-micro names.

go-micro clients put the registry's service name before the proto's and call
``/go.micro.server.master.CrawlerMaster/AddResource``, everybody else
``/CrawlerMaster/AddResource``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from prometheus_client import Counter, Histogram

from crawler.errors import CrawlerError, InvalidInput
from crawler.model import MASTER_SERVICE, WORKER_SERVICE
from crawler.rpc.errors import to_status
from crawler.rpc.incoming import Context, hops, request_id_of, traceparent_of
from crawler.rpc.pb import (
    communicate_pb2,
    communicate_pb2_grpc,
    control_pb2,
    control_pb2_grpc,
    crawler_pb2,
    crawler_pb2_grpc,
    greeter_pb2,
    greeter_pb2_grpc,
    logs_pb2,
    logs_pb2_grpc,
    worker_pb2,
    worker_pb2_grpc,
)
from crawler.telemetry.correlation import bind_id
from crawler.telemetry.traces import span

log = structlog.get_logger(__name__)

Behaviour = Callable[[Any, Any], Awaitable[Message]]
Stream = Callable[[Any, Any], AsyncGenerator[Message]]

REQUESTS = Counter("crawler_grpc_requests", "gRPC calls answered.", ["method", "code"])
SECONDS = Histogram(
    "crawler_grpc_request_duration_seconds",
    "Time to answer a gRPC call; not of streams.",
    ["method"],
)

MAX_LOGGED = 200  # characters of one field
_QUIET = ("Get", "List", "WatchLogs", "IsAlive", "AskAlive")
_SECRET = frozenset({"sec_code", "token"})  # fields that no log may hold


@dataclass(frozen=True, slots=True)
class Service:
    """A servicer, and under which names its methods are found. ``owner`` is the registry's name
    of the process; it is said in the log and is the prefix of the go-micro name."""

    owner: str
    descriptor: ServiceDescriptor
    servicer: object

    @property
    def names(self) -> tuple[str, str]:
        return self.descriptor.full_name, f"{self.owner}.{self.descriptor.full_name}"

    def handlers(self) -> tuple[grpc.GenericRpcHandler[Any, Any], ...]:
        """One handler per name; a method takes one message, and answers with one or a stream."""
        methods = {method.name: self._handler(method) for method in self.descriptor.methods}
        return tuple(grpc.method_handlers_generic_handler(name, methods) for name in self.names)

    def _handler(self, method: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour = getattr(self.servicer, method.name)
        serializer = GetMessageClass(method.output_type).SerializeToString
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(
                _streamed(behaviour, self.owner, method), response_serializer=serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            _received(behaviour, self.owner, method), response_serializer=serializer
        )


def crawler_master(servicer: crawler_pb2_grpc.CrawlerMasterServicer) -> Service:
    """AddResource and DeleteResource, as the Go original has them."""
    return Service(
        MASTER_SERVICE, crawler_pb2.DESCRIPTOR.services_by_name["CrawlerMaster"], servicer
    )


def crawler_control(servicer: control_pb2_grpc.CrawlerControlServicer) -> Service:
    """What masters of ours offer beyond that."""
    return Service(
        MASTER_SERVICE, control_pb2.DESCRIPTOR.services_by_name["CrawlerControl"], servicer
    )


def communicate(
    tasks: communicate_pb2_grpc.TasksServicer,
    heartbeats: communicate_pb2_grpc.HeartBeatsServicer,
    elections: communicate_pb2_grpc.ElectionsServicer,
) -> tuple[Service, ...]:
    """The three services of the first reference system."""
    known = communicate_pb2.DESCRIPTOR.services_by_name
    servicers = {"Tasks": tasks, "HeartBeats": heartbeats, "Elections": elections}
    return tuple(Service(MASTER_SERVICE, known[name], each) for name, each in servicers.items())


def crawler_worker(servicer: worker_pb2_grpc.CrawlerWorkerServicer) -> Service:
    """What workers of ours tell of themselves."""
    return Service(
        WORKER_SERVICE, worker_pb2.DESCRIPTOR.services_by_name["CrawlerWorker"], servicer
    )


def crawler_logs(servicer: logs_pb2_grpc.CrawlerLogsServicer, owner: str) -> Service:
    """The log lines that every node keeps."""
    return Service(owner, logs_pb2.DESCRIPTOR.services_by_name["CrawlerLogs"], servicer)


def greeter(servicer: greeter_pb2_grpc.GreeterServicer, owner: str = WORKER_SERVICE) -> Service:
    """The greeting that every node offers."""
    return Service(owner, greeter_pb2.DESCRIPTOR.services_by_name["Greeter"], servicer)


def _received(behaviour: Behaviour, owner: str, method: MethodDescriptor) -> Behaviour:
    """Wrap a method: read the request, log the call, and answer errors of ours with their status.

    gRPC itself answers a request that cannot be read with UNKNOWN, which leaves open whether the
    call had an effect, and logs a traceback.
    """

    async def answer(raw: bytes, context: Context) -> Message:
        async with _answered(context, method):
            name = _name(method)
            with SECONDS.labels(method=name).time(), span(name, traceparent_of(context)):
                return await behaviour(_take(raw, context, owner, method), context)
        raise AssertionError("aborting raises")

    return answer


def _streamed(behaviour: Stream, owner: str, method: MethodDescriptor) -> Stream:
    """The same for a method that answers with a stream."""

    async def answer(raw: bytes, context: Context) -> AsyncGenerator[Message]:
        async with _answered(context, method):
            request = _take(raw, context, owner, method)
            async with aclosing(behaviour(request, context)) as messages:
                async for message in messages:
                    yield message

    return answer


def _take(raw: bytes, context: Context, owner: str, method: MethodDescriptor) -> Message:
    """Read the request and log the call."""
    request = _read(raw, method)
    if (named := getattr(request, "request_id", "")) and not request_id_of(context):
        bind_id(named)
    level = logging.DEBUG if method.name.startswith(_QUIET) else logging.INFO
    log.log(
        level,
        "receive request",
        method=_name(method),
        service=owner,
        request=_told(request),
        hop=hops(context),
    )
    return request


@asynccontextmanager
async def _answered(context: Context, method: MethodDescriptor) -> AsyncIterator[None]:
    """End the call with a status where the block fails."""
    name = _name(method)
    bind_id(request_id_of(context))
    try:
        yield
        REQUESTS.labels(method=name, code="OK").inc()
        return
    except CrawlerError as error:
        code, message, details = to_status(error)
        kind = type(error).__name__
        log.info("request failed", method=name, code=code.name, kind=kind, error=message)
    except grpc.aio.AbortError:
        raise
    except Exception:  # the border: a fault of ours must not tell its insides
        log.exception("request failed", method=name, code="INTERNAL")
        code, message, details = grpc.StatusCode.INTERNAL, "internal error", ()
    REQUESTS.labels(method=name, code=code.name).inc()
    await context.abort(code, message, details)


def _name(method: MethodDescriptor) -> str:
    service = method.containing_service
    assert service is not None
    return f"{service.name}.{method.name}"


def _read(raw: bytes, method: MethodDescriptor) -> Message:
    """The request; `InvalidInput` for bytes that are none."""
    try:
        return GetMessageClass(method.input_type).FromString(raw)
    except DecodeError as error:
        raise InvalidInput(f"the request is no {method.input_type.name}") from error


def _told(request: Message) -> dict[str, Any]:
    """The request as the log shows it: a definition by its size, long texts and lists cut."""
    fields = MessageToDict(request, preserving_proto_field_name=True)
    if "definition_json" in fields:
        fields["definition_json"] = f"{len(fields['definition_json'])} characters"
    return {key: _told_value(key, value) for key, value in fields.items()}


def _told_value(key: str, value: Any) -> Any:
    if key in _SECRET:
        return "***"
    return value[:MAX_LOGGED] if isinstance(value, str | list) else value
