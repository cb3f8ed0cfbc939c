"""The running API that the other tests of the web have."""

from __future__ import annotations

from tests.served.conftest import cluster
from tests.served.web.conftest import http

__all__ = ["cluster", "http"]
