"""The board tells of a dead child which page each job was parsing, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from crawler.worker.memory import SLOTS, Board

PAGE, OTHER = bytes(range(16)), b"\xff" * 16


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board.create()
    yield board
    board.close()


def test_a_fresh_board_says_nothing(board: Board) -> None:
    assert board.parsing(0, 1) is None
    assert board.parsing(SLOTS - 1, 0) is None


def test_slots_are_read_through_another_mapping(board: Board) -> None:
    child = Board(os.dup(board.fd))
    child.mark(0, 1, PAGE)
    child.mark(SLOTS - 1, 2**63, OTHER)
    child.close()
    assert board.parsing(0, 1) == PAGE
    assert board.parsing(SLOTS - 1, 2**63) == OTHER


def test_a_parsed_page_is_gone(board: Board) -> None:
    board.mark(3, 1, PAGE)
    board.mark(3, 1, None)
    assert board.parsing(3, 1) is None


def test_a_slot_speaks_of_the_job_that_wrote_it_only(board: Board) -> None:
    board.mark(3, 1, PAGE)
    assert board.parsing(3, 2) is None


def test_closing_twice_is_harmless() -> None:
    board = Board.create()
    board.close()
    board.close()
