"""What a process that runs for long does first: keep what it writes to its user, and say aloud what
is unsafe about how it was started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import structlog

from crawler.config import NodeConfig

log = structlog.get_logger(__name__)


def keep_private() -> None:
    """Nothing that this process or its children write is for others: databases, logs, etcd's
    data."""
    os.umask(0o077)
    if os.geteuid() == 0:
        log.warning("this runs as root", why="it needs no right of root's; give it a user")


def warn(settings: NodeConfig) -> None:
    """Who may command the node, and who may read what nobody should."""
    for address in settings.exposed:
        log.warning(
            "anybody who reaches this address commands the node",
            address=address,
            why="it listens beyond this machine, without authentication (--insecure)",
        )
    for file, rights in _loose(settings):
        log.warning("others on this machine can use this file", file=file, do=f"chmod {rights}")


def _loose(settings: NodeConfig) -> Iterator[tuple[str, str]]:
    """Files that hold a secret in clear and can be read, or hashes and can be written; and the
    rights that they should have."""
    kept = (settings.secret, settings.tls_key, settings.etcd_key)
    for file in kept:
        if file is not None and _readable(Path(file)):
            yield file, "600"
    if settings.tokens is not None and Path(settings.tokens).stat().st_mode & 0o022:
        yield settings.tokens, "600"


def _readable(path: Path) -> bool:
    """Whether others can read it. What is root's may be given to a group, that of a service."""
    status = path.stat()
    lent = 0o040 if status.st_uid == 0 and os.geteuid() != 0 else 0
    return bool(status.st_mode & 0o077 & ~lent)
