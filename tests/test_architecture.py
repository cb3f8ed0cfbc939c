"""The house of rooms, as a test: who may import whom, type-only and in-function imports too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "crawler"

# The ground, lowest first: each may use those before it.
GROUND = (
    "errors",
    "model",
    "story",
    "clock",
    "failpoint",
    "tasks",
    "address",
    "access",
    "rates",
    "tls",
    "listening",
    "definition",
    "config",
    "telemetry",
)
ISLANDS = ("coordination", "store", "engine", "cache", "rpc", "client")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(ISLANDS, ()),
    "master": ("coordination", "rpc"),
    "worker": ("coordination", "engine"),
    "spider": ("engine",),
    "delivery": ("store",),
    "web": ("rpc", "store", "delivery"),
    "proxy": ("cache", "engine"),
    "edge": ("coordination",),
    "local": ("coordination", "client"),
    "ops": ("coordination", "client"),
}
ROLES = tuple(room for room in MAY_IMPORT if room not in ISLANDS)
MAY_IMPORT["app"] = (*ISLANDS, *ROLES)
MAY_IMPORT["cli"] = ("app", "client", "local", "ops", "edge")

# A library behind one wall only, so that it can be replaced there.
WALLS = {
    # the demo reads the database independently of the store; the cache has an index of its own
    "sqlite3": {"store", "local", "cache"},
    "psycopg": {"store"},
    "turbohtml": {"engine", "definition"},
    "playwright": {"engine"},
    "typer": {"cli"},
    "rich": {"cli"},
    "IPython": {"cli"},
    "jinja2": {"edge"},
}


def room_of(path: Path) -> str:
    """The room that a file belongs to: its package, or the module itself on the top level."""
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""
            if node.module == "crawler":
                yield from ((node.lineno, f"crawler.{alias.name}") for alias in node.names)


SOURCES = sorted(p for p in ROOT.rglob("*.py") if not p.name.endswith(("_pb2.py", "_pb2_grpc.py")))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    if room in GROUND:
        allowed = {room, *GROUND[: GROUND.index(room)]}
    elif room in MAY_IMPORT:
        allowed = {room, *GROUND, *MAY_IMPORT[room]}
    else:
        assert room in {"__init__", "__main__"}, f"{room} is no room of the house"
        allowed = {"cli"} if room == "__main__" else set()
    for line, name in imported(path):
        top, _, rest = name.partition(".")
        if top in WALLS:
            assert room in WALLS[top], f"{path}:{line}: {top} belongs behind {WALLS[top]}"
        if top == "crawler" and rest:
            target = rest.partition(".")[0]
            if target == "__version__":
                continue
            assert target in allowed, f"{path}:{line}: {room} must not import {target}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_say_why_they_exist(path: Path) -> None:
    if path.stat().st_size:
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_no_room_is_empty() -> None:
    for room in (p for p in ROOT.iterdir() if p.is_dir() and p.name != "__pycache__"):
        assert list(room.rglob("*.py")), f"{room.name} has no module yet"
        assert room.name in GROUND or room.name in MAY_IMPORT


def test_groups_of_tasks_do_not_forget_a_cancellation() -> None:
    """As asyncio's own do before Python 3.13."""
    own = [p for p in SOURCES if p.name != "tasks.py" and "asyncio.TaskGroup()" in p.read_text()]
    assert not own, "use crawler.tasks.TaskGroup"


def test_names_do_not_hide_reasons() -> None:
    vague = {"utils", "common", "base", "helpers", "util", "misc", "manager"}
    assert not [p for p in SOURCES if p.stem in vague]
