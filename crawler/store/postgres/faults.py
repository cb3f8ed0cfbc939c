"""Turns what psycopg raises into our errors: the border of the room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from crawler.errors import CrawlerError, Hindered, Misconfigured, StoreUnavailable

# SQLSTATE classes and codes: postgresql.org/docs/current/errcodes-appendix.html
_PASSING_CLASSES = {
    "08": "the connection to the database failed",
    "28": "the database refuses this login",
    "3D": "the database is not there",
    "3F": "the schema is not there",
    "40": "the database gave up this transaction in favour of another",
    "53": "the database is out of a resource",
    "54": "a limit of the database is reached",
    "55": "somebody else holds what this transaction needs",
    "57": "the database is stopping or starting",
    "58": "the disk of the database failed",
    "XX": "the database reports a fault of its own",
}
_PASSING = {
    "25P02": "the transaction had failed already",
    "25P03": "the database ended a transaction that stood still",
    "25P04": "the database ended a transaction that took too long",
    "25006": "the database cannot be written",
    "42501": "the database does not permit this",
    "42P01": "a table is not there",
    "53100": "no space is left for the database",
    "57014": "the database took too long over a statement",
}
_SETUP_CLASSES = {"28", "3D", "3F", "42"}  # login, database, schema, rights
# A refused connection has no SQLSTATE in libpq. Where a server speaks another language, what it
# says is told all the same, as something that may pass.
_SETUP_WORDS = re.compile(
    r"does not exist|authentication failed|no pg_hba\.conf entry|permission denied|"
    r"no password supplied|does not support SSL"
)


def translated(error: psycopg.Error) -> CrawlerError | None:
    """Our error for the state of the database; None for a mistake of ours in using it."""
    state = error.sqlstate or ""
    sentence = _PASSING.get(state) or _PASSING_CLASSES.get(state[:2])
    if sentence is None and not state and isinstance(error, psycopg.OperationalError):
        sentence = "the database cannot be reached"
    if sentence is None and isinstance(error, psycopg.InterfaceError):
        sentence = "the connection to the database is closed"
    return None if sentence is None else StoreUnavailable(f"{sentence} ({_words(error)})")


def is_setup(error: psycopg.Error) -> bool:
    """Whether somebody must change the set-up before opening can succeed."""
    if error.sqlstate:
        return error.sqlstate[:2] in _SETUP_CLASSES
    return _SETUP_WORDS.search(str(error)) is not None


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Raise ours for theirs. Mistakes of ours (a wrong statement) pass as they are: a retry
    would not mend them."""
    try:
        yield
    except psycopg.Error as error:
        ours = translated(error)
        if ours is None:
            raise
        raise ours from error


@contextmanager
def opening() -> Iterator[None]:
    """Like `foreign_errors`, where the database is opened: `Hindered` for what only a change of the
    set-up mends, at the database as well as here: a login, a role that is not there yet."""
    try:
        yield
    except psycopg.Error as error:
        if is_setup(error):
            raise Hindered(f"--store: {_words(error)}") from error
        ours = translated(error)
        raise ours or Misconfigured(f"--store: {_words(error)}") from error


def _words(error: psycopg.Error) -> str:
    """The first line of the message; the rest points into statements."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
