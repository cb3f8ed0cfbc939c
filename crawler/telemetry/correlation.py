"""One id on every log line that a request brings about, on whichever node: from the HTTP header
through gRPC metadata and the record of the decision in etcd to the crawl that it began.

It is bound for the task that deals with the request, and for the tasks that this starts.
"""

from __future__ import annotations

import secrets

import structlog

FIELD = "request_id"  # of log lines and records
KEY = "x-request-id"  # of HTTP headers and gRPC metadata
MAX_CHARS = 128


def new_id() -> str:
    """64 random bits: enough to tell requests apart."""
    return secrets.token_hex(8)


def is_id(text: str) -> bool:
    """Whether it may be passed on as it is: short, and printable."""
    return 0 < len(text) <= MAX_CHARS and text.isascii() and text.isprintable()


def bind_id(given: str) -> str:
    """Deal with the request of that id from now on; one that is none is replaced by a new one."""
    request_id = given if is_id(given) else new_id()
    structlog.contextvars.bind_contextvars(**{FIELD: request_id})
    return request_id


def current_id() -> str:
    """Of the request that is being dealt with; "": nobody asked."""
    return str(structlog.contextvars.get_contextvars().get(FIELD, ""))
