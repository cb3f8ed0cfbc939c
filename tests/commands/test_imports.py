"""What a start brings into memory, which is most of what a short command costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import sys
from crawler.cli.main import run_command
assert run_command(["--help"]) == 0
heavy = {"aiohttp", "grpc", "pydantic", "turbohtml", "rich", "structlog", "crawler.app", "sqlite3"}
print("loaded:", sorted(heavy & set(sys.modules)))
"""


def test_help_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


@pytest.mark.parametrize("role", ["master", "worker"])
def test_launchers_are_three_lines(role: str) -> None:
    launcher = Path(__file__).parents[2] / "cmd" / f"crawler-{role}"
    assert len(launcher.read_text().splitlines()) == 3
    done = subprocess.run(
        [str(launcher), "--help"], capture_output=True, text=True, check=True,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    )  # fmt: skip
    assert f"crawler {role}" in done.stdout


def test_nothing_is_imported_where_nobody_wants_them() -> None:
    code = (
        "import sys, crawler.app.worker\n"
        "ours = ('crawler.engine', 'crawler.proxy')\n"
        "crawls = any(name.startswith(ours) for name in sys.modules)\n"
        "import crawler.app.master, crawler.app.child\n"
        "from crawler.telemetry.traces import span, traceparent, send_spans\n"
        "with send_spans(None, 'x', '1'), span('a', url='b'): assert traceparent() == ''\n"
        "extra = ('opentelemetry', 'rich')\n"
        "sys.exit(crawls or any(name.startswith(extra) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
