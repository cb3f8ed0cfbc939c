"""The stores of the contract suite, chosen by ``--store`` as there."""

from __future__ import annotations

from tests.contract.conftest import backend, clock, open_another, pytest_generate_tests, store

__all__ = ["backend", "clock", "open_another", "pytest_generate_tests", "store"]
