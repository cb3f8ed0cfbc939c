"""What an error of a job calls for."""

from __future__ import annotations

import pytest

from crawler.errors import (
    Fenced,
    InvalidInput,
    OutcomeUnknown,
    StoreUnavailable,
    TermLost,
)
from crawler.worker.channel import Outcome
from crawler.worker.child import outcome_of


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Fenced("newer"), Outcome.FENCED),
        (TermLost("newer"), Outcome.FENCED),
        (StoreUnavailable("away"), Outcome.AGAIN),
        (OutcomeUnknown("lost"), Outcome.AGAIN),
        (InvalidInput("bad rule"), Outcome.ERROR),
        (ZeroDivisionError(), Outcome.CRASHED),
        (ExceptionGroup("", [StoreUnavailable("a"), StoreUnavailable("b")]), Outcome.AGAIN),
        (ExceptionGroup("", [StoreUnavailable("a"), InvalidInput("b")]), Outcome.ERROR),
        (
            ExceptionGroup("", [ValueError(), ExceptionGroup("", [Fenced("newer")])]),
            Outcome.FENCED,
        ),
    ],
    ids=repr,
)
def test_each_error_calls_for_one_reaction(error: Exception, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome
