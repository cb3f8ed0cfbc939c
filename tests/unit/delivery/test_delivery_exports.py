"""What an export holds: since a cursor nothing is left out and nothing comes twice."""

from __future__ import annotations

import pytest

from crawler.delivery.exports import Export, Stretch, plan_export, read_cursor
from crawler.errors import InvalidInput, NotFound


def test_the_first_export_is_all_of_the_latest_run() -> None:
    assert plan_export({1: 40, 2: 90}, "", None) == Export((Stretch(2, 0, 90),), "2:90")


def test_the_next_one_is_what_came_since() -> None:
    assert plan_export({2: 95}, "2:90", None) == Export((Stretch(2, 90, 95),), "2:95")
    assert plan_export({2: 95}, "2:95", None) == Export((), "2:95")


def test_later_runs_are_whole() -> None:
    export = plan_export({1: 40, 2: 95, 3: 120, 4: 0}, "2:90", None)
    assert export.stretches == (Stretch(2, 90, 95), Stretch(3, 0, 120))
    assert export.cursor == "3:120,4:0"


def test_what_a_part_still_commits_to_the_run_before_is_not_missed() -> None:
    before = plan_export({1: 40, 2: 60}, "1:30", None)
    assert before.cursor == "1:40,2:60"
    assert plan_export({1: 61, 2: 70}, before.cursor, None).stretches == (
        Stretch(1, 40, 61),
        Stretch(2, 60, 70),
    )


def test_one_run_alone() -> None:
    assert plan_export({1: 40, 2: 90}, "", 1) == Export((Stretch(1, 0, 40),), "1:40")
    assert plan_export({1: 45, 2: 90}, "1:40", 1).stretches == (Stretch(1, 40, 45),)
    with pytest.raises(NotFound, match="no run 7; there is: 1, 2"):
        plan_export({1: 40, 2: 90}, "", 7)


def test_before_the_first_run_there_is_nothing() -> None:
    assert plan_export({}, "", None) == Export((), "")


@pytest.mark.parametrize(
    "text", ["x", "1", "1:", "1:2,", "1:2,3:4,5:6", "-1:2", "1:2 ", "1:" + "9" * 19, "\u00b2:1"]
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no cursor") as refused:
        read_cursor(text)
    assert refused.value.field == "since"


@pytest.mark.parametrize("since", ["2:7", "1:3,2:7"])
def test_a_cursor_of_a_run_that_is_not_kept_says_how_to_go_on(since: str) -> None:
    with pytest.raises(InvalidInput, match="since: run 2 is not kept any more; give 4:0") as caught:
        plan_export({4: 9, 5: 12}, since, None)
    assert caught.value.field == "since"
    assert plan_export({4: 9, 5: 12}, "4:0", None).cursor == "4:9,5:12"
    assert plan_export({2: 7, 4: 9, 5: 12}, since, None).cursor == "4:9,5:12"


@pytest.mark.parametrize("since", ["3:1", "1:30,3:1", "2:91", "1:41,2:90"])
def test_a_cursor_of_another_crawl_is_refused_instead_of_hiding_what_is_new(since: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"lies beyond what there is \(2:90\).*give 1:0"
    ) as caught:
        plan_export({1: 40, 2: 90}, since, None)
    assert caught.value.field == "since"
    assert plan_export({}, since, None) == Export((), since)
