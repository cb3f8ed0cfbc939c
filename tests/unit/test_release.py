"""Which release an upgrade is tried from, where nobody says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.bench.release import last_tag


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


def commit(root: Path, text: str) -> None:
    (root / "file").write_text(text)
    git(root, "add", "file")
    git(root, "commit", "-m", text)


def test_it_is_the_last_one_before_what_is_checked_out(tmp_path: Path) -> None:
    git(tmp_path, "init")
    commit(tmp_path, "one")
    git(tmp_path, "tag", "-a", "other", "-m", "no release")
    with pytest.raises(SystemExit, match="FROM=REVISION"):
        last_tag(tmp_path)
    git(tmp_path, "tag", "-a", "v0.1.0", "-m", "one")
    with pytest.raises(SystemExit):  # it is this very one, and the first
        last_tag(tmp_path)
    (tmp_path / "file").write_text("changed")
    assert last_tag(tmp_path) == "v0.1.0"
    commit(tmp_path, "two")
    assert last_tag(tmp_path) == "v0.1.0"
    git(tmp_path, "tag", "-a", "v0.2.0", "-m", "two")
    assert last_tag(tmp_path) == "v0.1.0"
