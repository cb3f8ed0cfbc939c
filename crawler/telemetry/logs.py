"""Log lines of a process: structlog set up once, one event per line, secrets hidden.

On a terminal for reading, elsewhere JSON with the fields ``level ts logger msg`` first to be asked
for, as the Go original writes them. Lines of libraries that use `logging` take the same way.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from crawler.telemetry.metrics import LOG_LINES
from crawler.telemetry.recent import Recent
from crawler.telemetry.redaction import redact_field

_ORDER = ("ts", "level", "logger", "msg")
# Libraries that say at INFO what we say ourselves, or say at WARNING what is our daily bread, as
# that a connection broke: whoever needed it gets an error, and says so.
_QUIET = {
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
    "grpc": logging.ERROR,
    "psycopg": logging.ERROR,
}


def configure(
    level: str = "info",
    format: str = "auto",  # noqa: A002 - the setting's name
    *,
    stream: TextIO | None = None,
    fields: Mapping[str, str] | None = None,
    recent: Recent | None = None,
) -> None:
    """Set up logging of this process; a later call replaces an earlier one.

    ``level``: debug, info, warning or error. ``format``: json, console, or auto (console with
    colour where ``stream``, by default standard error, is a terminal). ``fields`` are put on
    every line, the node's name for instance. ``recent`` keeps those about crawls.
    """
    stream = stream or sys.stderr
    console = format == "console" or (format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper("%Y-%m-%dT%H:%M:%S.%f%z", utc=False, key="ts"),
        structlog.processors.format_exc_info,
        _Constant(fields or {}),
        _hide_secrets,
        _count,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # loggers of modules exist before this is called
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(shared, console=console, colour=stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    if recent is not None:
        keeping = _Keeping(recent)
        keeping.setFormatter(_formatter(shared, console=False, colour=False))
        root.handlers.append(keeping)
    root.setLevel(level.upper())
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, root.level))
    logging.captureWarnings(True)


def _formatter(
    shared: list[Processor], *, console: bool, colour: bool
) -> structlog.stdlib.ProcessorFormatter:
    if console:
        last: list[Processor] = [
            _printable,
            structlog.dev.ConsoleRenderer(colors=colour, timestamp_key="ts", pad_event_to=0),
        ]
    else:
        last = [
            structlog.processors.EventRenamer("msg"),
            _upper_level,
            _in_order,
            structlog.processors.JSONRenderer(_dumps, ensure_ascii=False, default=str),
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


class _Keeping(logging.Handler):
    """Keeps lines with the field ``resource``, as JSON and with secrets hidden like all others."""

    def __init__(self, recent: Recent) -> None:
        super().__init__()
        self._recent = recent

    def emit(self, record: logging.LogRecord) -> None:
        event: object = record.msg
        if isinstance(event, dict) and isinstance(resource := event.get("resource"), str):
            self._recent.add(resource, self.format(record), record.created)


class _Constant:
    """Adds the same fields to every line; a field of the event itself wins."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = dict(fields)

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        for key, value in self._fields.items():
            event.setdefault(key, value)
        return event


def _hide_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if not key.startswith("_"):
            event[key] = redact_field(key, value)
    return event


def _count(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    LOG_LINES.labels(level=event.get("level", "info")).inc()
    return event


def _escaped(text: str, keep: str = "") -> str:
    """What a terminal or a reader of lines would obey becomes what JSON writes for it."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else json.dumps(each)[1:-1] for each in text
    )


def _dumps(value: object, **options: Any) -> str:
    """JSON on one line for every reader: some break lines at U+2028 too."""
    return _escaped(json.dumps(value, **options))


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Only tracebacks have lines; nothing has control characters, which others may have sent."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _escaped(value, "\n" if key == "exception" else "")
    return event


def _upper_level(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["level"] = str(event.get("level", "info")).upper()
    return event


def _in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    first: MutableMapping[str, Any] = {key: event[key] for key in _ORDER if key in event}
    return {**first, **event}
