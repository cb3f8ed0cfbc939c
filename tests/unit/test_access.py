"""Tokens: what a file of them may hold, who is let in, and what happens when it changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog

from crawler.access import ANYBODY, Access, Caller, Role, line_of, new_token, read_tokens
from crawler.clock import SystemClock
from crawler.errors import Misconfigured, Refused, Unauthenticated

pytestmark = pytest.mark.threat(1)

READER, OPERATOR = "crw_" + "r" * 43, "crw_" + "o" * 43


class Hands(SystemClock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def elapsed(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    lines = ["# who may", "", line_of(READER, "grafana", Role.READ)]
    path.write_text("\n".join([*lines, line_of(OPERATOR, "ci", Role.OPERATE), ""]))
    return path


def test_without_a_file_everybody_may_everything() -> None:
    assert Access().admit(None, Role.OPERATE) == ANYBODY
    assert not Access().closed


def test_tokens_have_their_roles(file: Path) -> None:
    access = Access(file)
    assert access.closed
    assert access.admit(f"Bearer {READER}", Role.READ) == Caller("grafana", Role.READ)
    assert access.admit(f"bearer  {OPERATOR}", Role.READ).name == "ci"
    assert access.admit(f"Bearer {OPERATOR}", Role.OPERATE).name == "ci"
    with pytest.raises(Refused, match="grafana may only read"):
        access.admit(f"Bearer {READER}", Role.OPERATE)


@pytest.mark.parametrize(
    "header",
    [
        None, "", "Bearer", "Bearer ", f"Basic {OPERATOR}", OPERATOR, f"Bearer {OPERATOR}x",
        f"Bearer {OPERATOR} x", f"Bearer {OPERATOR[:-1]}", "Bearer " + "a" * 10_000, "Bearer é",
    ],
)  # fmt: skip
def test_anything_else_is_nobody(file: Path, header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        Access(file).admit(header, Role.READ)


def test_tokens_are_long_and_never_the_same() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert {len(each) for each in made} == {len(READER)}


def test_the_file_holds_no_token(file: Path) -> None:
    text = file.read_text()
    assert READER not in text
    assert OPERATOR not in text


def test_a_changed_file_counts_and_a_broken_one_does_not(file: Path) -> None:
    clock = Hands()
    access = Access(file, clock)
    late = new_token()
    file.write_text(line_of(late, "late", Role.READ))
    os.utime(file, ns=(1, 1))
    with pytest.raises(Unauthenticated):
        access.admit(f"Bearer {late}", Role.READ)
    clock.now += 2
    assert access.admit(f"Bearer {late}", Role.READ).name == "late"
    with pytest.raises(Unauthenticated):
        access.admit(f"Bearer {READER}", Role.READ)
    with structlog.testing.capture_logs() as said:
        for broken in ("nonsense", ""):
            file.write_text(broken)
            clock.now += 2
            assert access.admit(f"Bearer {late}", Role.READ).name == "late"
        file.unlink()
        clock.now += 2
        assert access.admit(f"Bearer {late}", Role.READ).name == "late"
    assert [each["event"] for each in said] == ["tokens not renewed"] * 3


def test_a_file_that_may_be_read_only_afterwards_counts_then(file: Path) -> None:
    """Its rights changed, its content did not: here as nearly as root can see it."""
    clock, late = Hands(), new_token()
    access = Access(file, clock)
    line = line_of(late, "late", Role.READ)
    for text in (line.swapcase(), line):
        file.write_text(text)
        os.utime(file, ns=(1, 1))
        clock.now += 2
        if text != line:
            assert access.admit(f"Bearer {READER}", Role.READ).name
    assert access.admit(f"Bearer {late}", Role.READ).name == "late"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no token"),
        ("# only words\n", "holds no token"),
        ("\nadmin x " + "0" * 64, ":2: expected a role"),
        ("read x " + "0" * 63, ":1: expected a role"),
        ("read x y " + "0" * 64, ":1: expected a role"),
        ("read ../x " + "0" * 64, ":1: expected a role"),
        ("read " + "0" * 64, ":1: expected a role"),
        ("read x " + "0" * 64 + " resources=-1", ":1: expected a role"),
        ("read x " + "0" * 64 + " resources=many", ":1: expected a role"),
        ("read x " + "0" * 64 + " 7", ":1: expected a role"),
    ],
)
def test_what_a_file_may_not_hold(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(Misconfigured, match=said):
        read_tokens(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No such file"):
        Access(tmp_path / "tokens")


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "-x", "x" * 65])
def test_names_stay_one_word(name: str) -> None:
    with pytest.raises(Misconfigured, match="is no name"):
        line_of(READER, name, Role.READ)
