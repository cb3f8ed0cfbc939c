"""Property-based tests, on a machine that may be busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# An example may take as long as a busy machine wants; a hang meets the limit of its test.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
