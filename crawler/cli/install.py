"""`crawler install`: crawler as a part of a system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crawler.cli import balancers

INSTALL_HELP = "Write what makes crawler, or a door in front of it, a part of this system."
INSTALL: dict[str, Callable[..., Any]] = {**balancers.INSTALL}
