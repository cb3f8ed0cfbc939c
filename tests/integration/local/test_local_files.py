"""Locks, ports and logs of a data directory."""

from __future__ import annotations

import json
import os
import random
import socket
from pathlib import Path

import pytest

from crawler.errors import Conflict, Misconfigured
from crawler.local.lock import hold_directory
from crawler.local.logtail import LogTail, pick_line
from crawler.local.ports import PortBook, is_free


def test_a_directory_has_one_user(tmp_path: Path) -> None:
    data = tmp_path / "a" / "b"
    with hold_directory(data, "crawler up"):
        with pytest.raises(Conflict) as caught, hold_directory(data, "crawler run"):
            pass
        assert f"in use by pid {os.getpid()} (crawler up)" in str(caught.value)
        assert "--data" in str(caught.value)
    with hold_directory(data, "again"):
        pass


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot use"), hold_directory(tmp_path / "file", "x"):
        pass


def test_ports_are_remembered_while_free(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = PortBook(path, random.Random(1))
    one, two = first.take("one"), first.take("two")
    assert one != two
    assert PortBook(path).take("one") == one
    with socket.socket() as other:
        other.bind(("127.0.0.1", one))
        other.listen()
        assert not is_free(one)
        assert PortBook(path).take("one") != one


def test_a_wish_counts_where_nothing_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    free = PortBook(tmp_path / "other").take("x")
    assert PortBook(path).take("one", free) == free
    book = PortBook(path)
    assert book.take("two", free) == free
    assert book.take("one") != free, "given out already"


@pytest.mark.parametrize("port", [65_536, -1])
def test_a_number_beyond_all_ports_is_not_free(tmp_path: Path, port: int) -> None:
    path = tmp_path / "ports.json"
    path.write_text(json.dumps({"kept": port}))
    assert 0 < PortBook(path).take("kept") < 65_536
    assert 0 < PortBook(path).take("one", port) < 65_536


def test_an_exact_port_or_none(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Misconfigured, match=f"port {port} is in use.*--http"):
            PortBook(tmp_path / "p").take_exactly("one", port, "use --http")


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"one": "x"}'])
def test_a_broken_port_book_is_begun_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ports.json"
    path.write_text(text)
    port = PortBook(path).take("one")
    assert json.loads(path.read_text()) == {"one": port}


def test_only_warnings_and_crashes_are_shown() -> None:
    warning = '{"ts":"now","level":"WARNING","logger":"x","msg":"fenced","resource":"shop"}'
    assert pick_line("worker-1", warning) == ("worker-1", "WARNING", "fenced resource=shop")
    assert pick_line("worker-1", '{"level":"INFO","msg":"x"}') is None
    assert pick_line("worker-1", "") is None
    assert pick_line("worker-1", "Traceback")


def test_a_tail_starts_at_the_end_and_joins_halves(tmp_path: Path) -> None:
    path = tmp_path / "worker-1.log"
    path.write_text("old\n")
    tail = LogTail([path, tmp_path / "missing.log"])
    assert list(tail.look()) == []
    with path.open("a") as log:
        log.write("cra")
        log.flush()
        assert list(tail.look()) == []
        log.write("shed\nnext\n")
    assert [line.text for line in tail.look()] == ["crashed", "next"]
    path.write_text("new\n")
    assert [line.text for line in tail.look()] == ["new"]
