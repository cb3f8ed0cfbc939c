"""The stores of the contract suite, chosen by ``--store`` as there."""

from __future__ import annotations

from tests.contract.conftest import backend, pytest_generate_tests

__all__ = ["backend", "pytest_generate_tests"]
