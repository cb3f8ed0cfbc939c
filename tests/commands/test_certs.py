"""`crawler certs`, killed on its way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crawler.tls import read_pair


@pytest.mark.parametrize("passage", [1, 2, 3])
def test_the_same_command_goes_on_where_one_was_cut_off(tmp_path: Path, passage: int) -> None:
    """Between a key and its certificate: of the authority, and of each node."""
    command = [sys.executable, "-m", "crawler", "certs", str(tmp_path), "one=10.0.0.1", "two"]
    place = {"CRAWLER_FAILPOINTS": f"certificates.between=kill@{passage}"}
    cut = subprocess.run(command, env={**os.environ, **place}, capture_output=True, check=False)
    assert cut.returncode == -signal.SIGKILL
    keys = {each: each.read_bytes() for each in tmp_path.glob("*.key")}
    assert len(keys) == passage
    assert len(list(tmp_path.glob("*.pem"))) == passage - 1
    again = subprocess.run(command, capture_output=True, check=True, text=True)
    said = [f"{tmp_path}/one.pem", f"{tmp_path}/two.pem"]
    if passage == 3:
        said[0] += " (as it was)"
    assert again.stdout.splitlines() == said
    assert {each: each.read_bytes() for each in keys} == keys
    for name in ("one", "two"):
        read_pair(*(str(tmp_path / each) for each in ("ca.pem", f"{name}.pem", f"{name}.key")))
    assert len(list(tmp_path.iterdir())) == 6
