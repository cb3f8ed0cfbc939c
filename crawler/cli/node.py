"""What masters and workers do alike before they run."""

from __future__ import annotations

import structlog

from crawler.config import NodeConfig
from crawler.telemetry import logs, metrics

log = structlog.get_logger(__name__)


def begin(settings: NodeConfig, role: str) -> None:
    """Set up logs and figures, and say aloud what is dangerous."""
    logs.configure(
        settings.log_level, settings.log_format, fields={"node": f"{role}-{settings.id}"}
    )
    metrics.name_node(f"go.micro.server.{role}-{settings.id}")
    for address in settings.exposed:
        log.warning(
            "anybody who reaches this address commands the node",
            address=address,
            why="it listens beyond this machine, without authentication (--insecure)",
        )
