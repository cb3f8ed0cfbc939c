"""Impossible settings are refused by name."""

from __future__ import annotations

import pytest

from crawler.clock import SystemClock
from crawler.errors import Misconfigured
from crawler.worker.settings import SupervisorSettings
from crawler.worker.supervisor import Supervisor


def test_defaults_are_possible() -> None:
    assert SupervisorSettings().processes >= 1


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"processes": 0}, "processes"),
        ({"child_memory_bytes": -1}, "child_memory_bytes"),
        ({"parse_limit_s": 0.5}, "parse_limit_s"),
        ({"stop_grace_s": 3.0}, "stop_limit_s"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, float], name: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        SupervisorSettings(**values)  # type: ignore[arg-type]


def test_what_no_child_could_be_told_is_refused_at_once() -> None:
    with pytest.raises(TypeError):
        Supervisor(SupervisorSettings(), ["true"], {"store": object()}, SystemClock())
