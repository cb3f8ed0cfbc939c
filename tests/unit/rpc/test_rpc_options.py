"""gRPC passes over an option that it does not know, so the names that we give it are looked up."""

from __future__ import annotations

import ast
import importlib.util
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

import crawler

ROOT = Path(crawler.__file__).parent
OPTION = re.compile(r"grpc\.[a-z0-9_.]+")


def option_names() -> Iterator[str]:
    """Every channel option that a module of ours gives, as it is spelled there."""
    for path in ROOT.rglob("*.py"):
        source = path.read_text("utf-8")
        if OPTION.search(source) is None:
            continue
        for node in ast.walk(ast.parse(source)):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and OPTION.fullmatch(text):
                yield text


def is_known(name: str) -> bool:
    """Whether the installed gRPC has the name among its own."""
    spec = importlib.util.find_spec("grpc._cython.cygrpc")
    assert spec is not None
    assert spec.origin is not None
    with (
        Path(spec.origin).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as core,
    ):
        return core.find(name.encode() + b"\0") >= 0


def test_grpc_knows_every_option_that_it_is_given() -> None:
    names = set(option_names())
    assert "grpc.http2.min_ping_interval_without_data_ms" in names
    assert not {name for name in names if not is_known(name)}


def test_a_misspelled_option_is_found_out() -> None:
    assert not is_known("grpc.http2.min_recv_ping_interval_without_data_ms")
