"""Names, node ids and the wire form of an assignment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crawler.errors import InvalidInput
from crawler.model import (
    Assignment,
    Failures,
    Progress,
    check_name,
    check_node_id,
    read_failures,
)


@pytest.mark.parametrize("name", ["a", "douban_book_list", "task-test-4", "été", "新闻.1", "9-_."])
def test_names_of_any_script_are_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.threat(22)
@pytest.mark.parametrize(
    "name", ["", "election", "a/b", "../x", "-a", "_a", ".a", "a\n", "a b", "a\x00", "x" * 129]
)
def test_names_that_could_be_paths_or_log_lines_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_name(name)
    assert refused.value.field == "name"


def test_two_spellings_of_one_name_are_one() -> None:
    assert check_name("e\u0301te") == check_name("éte")


@pytest.mark.parametrize("node_id", ["1", "a_B9"])
def test_node_ids(node_id: str) -> None:
    assert check_node_id(node_id) == node_id


@pytest.mark.parametrize("node_id", ["", "a-b", "a|b", "a/b", "é", "1\n"])
def test_node_ids_that_would_break_a_record_are_refused(node_id: str) -> None:
    with pytest.raises(InvalidInput):
        check_node_id(node_id)


def test_an_assignment_reads_back_what_it_writes() -> None:
    text = "go.micro.server.worker-2|10.156.157.194:9089"
    assert str(Assignment.parse(text)) == text


@pytest.mark.parametrize("text", ["", "|", "a|", "|b", "a"])
def test_half_an_assignment_is_none(text: str) -> None:
    assert Assignment.parse(text) is None


def test_pending_is_what_the_others_leave() -> None:
    assert Progress(known=10, done=3, failed=2, excluded=1).pending == 4


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("", Failures()),
        ("503", Failures(503, 503)),
        ("5xx", Failures(500, 599)),
        ("0", Failures(0, 0)),
    ],
)
def test_failures_are_read_from_a_status(status: str, expected: Failures) -> None:
    assert read_failures(status, "") == expected
    assert read_failures(status, "r") == replace(expected, reason="r")


@pytest.mark.parametrize("status", ["5", "0xx", "5XX", "5000", "-1", "500 ", "٥٠٠", "xx"])
def test_what_is_no_status_is_refused(status: str) -> None:
    with pytest.raises(InvalidInput, match="status: an HTTP status") as caught:
        read_failures(status, "")
    assert caught.value.field == "status"
