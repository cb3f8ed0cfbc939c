"""What a long-running command keeps to its user, and what it warns of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crawler.access import Role, line_of, new_token
from crawler.cli import safety
from crawler.config import master_config

pytestmark = pytest.mark.threat(27)


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_what_is_written_then_is_for_its_user_alone(tmp_path: Path) -> None:
    with capture_logs() as said:
        safety.keep_private()
    assert [each["event"] for each in said] == ["this runs as root"] * (os.geteuid() == 0)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    modes = [path.stat().st_mode & 0o777 for path in sorted(tmp_path.rglob("*"))]
    assert modes == [0o700, 0o600]


def test_secrets_that_others_can_use_are_warned_of(tmp_path: Path) -> None:
    secret, tokens = tmp_path / "secret", tmp_path / "tokens"
    secret.write_text(new_token())
    tokens.write_text(line_of(new_token(), "a", Role.READ))
    settings = master_config({"secret": str(secret), "tokens": str(tokens)}, {})

    def warned(secret_mode: int, tokens_mode: int) -> list[str]:
        secret.chmod(secret_mode)
        tokens.chmod(tokens_mode)
        with capture_logs() as said:
            safety.warn(settings)
        return [each["file"] for each in said]

    assert warned(0o600, 0o644) == []
    assert warned(0o640, 0o600) == [str(secret)]
    assert warned(0o400, 0o664) == [str(tokens)]
