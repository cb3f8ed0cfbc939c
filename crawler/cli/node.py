"""What masters and workers do alike before they run."""

from __future__ import annotations

from crawler.cli import safety
from crawler.config import NodeConfig
from crawler.telemetry import logs, metrics
from crawler.telemetry.recent import RECENT


def begin(settings: NodeConfig, role: str) -> None:
    """Set up logs and figures, and say aloud what is dangerous."""
    logs.configure(
        settings.log_level,
        settings.log_format,
        fields={"node": f"{role}-{settings.id}"},
        recent=RECENT,
    )
    metrics.name_node(f"go.micro.server.{role}-{settings.id}")
    safety.keep_private()
    safety.warn(settings)
