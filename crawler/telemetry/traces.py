"""Spans for OpenTelemetry, where a process is told whom to send them to; otherwise they cost a look
at a variable, and nothing is imported.

A span goes on from a W3C ``traceparent`` (https://www.w3.org/TR/trace-context/) and hands one on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from crawler.errors import Misconfigured
from crawler.telemetry.redaction import redact_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

KEY = "traceparent"  # of HTTP headers and gRPC metadata
_PATIENCE_S = 2.0  # for a collector that hangs: nobody's end waits for it much longer
PAGE_SHARE = 0.01  # of pages and commits that are recorded; requests all are


class Tracer(Protocol):
    """Where spans go."""

    def span(
        self, name: str, parent: str, attributes: dict[str, str | int]
    ) -> AbstractContextManager[object]: ...

    def traceparent(self) -> str: ...


_NOTHING = nullcontext()
_tracer: Tracer | None = None


def span(name: str, parent: str = "", /, **attributes: str | int) -> AbstractContextManager[object]:
    """Record what the block does and how long it takes, within the span around it, or within that
    of ``parent`` (a traceparent, "" for none). An error that leaves the block is noted."""
    if _tracer is None:
        return _NOTHING
    return _tracer.span(name, parent, attributes)


def traceparent() -> str:
    """Of the span that is under way; "" for none."""
    return "" if _tracer is None else _tracer.traceparent()


@contextmanager
def record_spans(
    exporter: SpanExporter, service: str, node: str, *, share: float = 1.0
) -> Iterator[None]:
    """Send spans to ``exporter`` while the block lasts: a ``share`` of those that begin here, and
    whatever of a trace of others is recorded there."""
    global _tracer
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(share)),
        resource=Resource.create({"service.name": service, "service.instance.id": node}),
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _Recorder(provider)
    try:
        yield
    finally:
        _tracer = None
        provider.shutdown()


@contextmanager
def send_spans(
    collector: str | None, service: str, node: str, *, share: float = 1.0
) -> Iterator[None]:
    """The same to the OTLP collector at that URL (None: nowhere), by HTTP, in the background.

    Raises `Misconfigured` where what is needed for it is not installed.
    """
    if collector is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise Misconfigured(
            "traces: install crawler-cluster[otel] to send them, or leave the setting out"
        ) from error
    exporter = OTLPSpanExporter(endpoint=collector, timeout=_PATIENCE_S)
    with record_spans(exporter, service, node, share=share):
        yield


class _Recorder:
    """The real one."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("crawler")
        self._propagator = TraceContextTextMapPropagator()

    def span(
        self, name: str, parent: str, attributes: dict[str, str | int]
    ) -> AbstractContextManager[object]:
        told = {key: redact_text(str(value)) for key, value in attributes.items()}
        context = self._propagator.extract({KEY: parent}) if parent else None
        return self._tracer.start_as_current_span(name, context=context, attributes=told)

    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(KEY, "")
