"""What a command exits with, and the one line it says when it fails."""

from __future__ import annotations

from crawler.errors import (
    Conflict,
    CrawlerError,
    Hindered,
    InvalidInput,
    Misconfigured,
    NotFound,
    OutcomeUnknown,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

OK = 0
FAILED = 1
DOUBTFUL = 1  # `crawler doctor` alone: nothing failed, but there are warnings
USAGE = 2
NOT_FOUND = 3
UNAVAILABLE = 4
CONFLICT = 5
FAULTY = 6
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
BROKEN_PIPE = 141  # 128 + SIGPIPE

TABLE = """\b
Exit codes:
0 done
1 failed; of doctor: warnings only
2 wrong usage, settings or input; of edge --once: something was changed
3 there is no such thing
4 unavailable, or the outcome is unknown: try again
5 in conflict with what is there, or refused
6 of doctor: something is broken
130 interrupted"""

_CODES: tuple[tuple[tuple[type[CrawlerError], ...], int], ...] = (
    ((Unavailable, OutcomeUnknown, Hindered), UNAVAILABLE),
    ((InvalidInput, TooLarge, Misconfigured), USAGE),
    ((NotFound,), NOT_FOUND),
    ((Conflict, Refused, Unauthenticated), CONFLICT),
)


def code_of(error: CrawlerError) -> int:
    """The exit code for an error."""
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return FAILED


def first_of_ours(error: BaseException) -> CrawlerError | None:
    """The first of our errors in an error or a group of them; None if another one is in it too.

    A fault must keep its traceback, whatever else went wrong beside it.
    """
    if isinstance(error, CrawlerError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [first_of_ours(each) for each in error.exceptions]
        return found[0] if all(found) else None
    return None


def line_of(error: CrawlerError) -> str:
    """What is said of an error, on one line unless it lists several things."""
    said = str(error).strip() or type(error).__name__
    return f"crawler: {said}"
