"""The running API that the other tests of the web have."""

from __future__ import annotations

from tests.served.web.conftest import cluster, http

__all__ = ["cluster", "http"]
