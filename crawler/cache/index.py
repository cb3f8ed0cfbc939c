"""Which answers are kept: one SQLite file, used by several processes of one machine.

It is a cache's memory and nothing more: a file that cannot be read, or is of another version, is
begun anew. The rollback journal survives a `kill -9` at any moment.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import structlog

from crawler.cache.answers import Stored
from crawler.cache.bodies import Bodies, Body
from crawler.cache.fields import Fields

log = structlog.get_logger(__name__)

_VERSION = 1
_BUSY_S = 5.0
_ROW_BYTES = 512  # what an answer takes besides its head and body, roughly
_MOST_VARIANTS = 16  # of one URL; of more the oldest go
_TOUCH_AFTER_S = 60.0
_TOO_MANY = "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers"
_SCHEMA = """
CREATE TABLE answers (
    url TEXT NOT NULL, variant TEXT NOT NULL, status INTEGER NOT NULL,
    fields TEXT NOT NULL, asked TEXT NOT NULL, asked_at REAL NOT NULL, came_at REAL NOT NULL,
    hash TEXT NOT NULL, size INTEGER NOT NULL, bytes INTEGER NOT NULL, used_at REAL NOT NULL,
    UNIQUE (url, variant));
CREATE INDEX answers_by_use ON answers (used_at);
CREATE INDEX answers_by_body ON answers (hash);
CREATE TABLE bodies (hash TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE gone (hash TEXT NOT NULL);
CREATE TABLE total (bytes INTEGER NOT NULL);
INSERT INTO total VALUES (0);
CREATE TRIGGER answer_in AFTER INSERT ON answers
    BEGIN UPDATE total SET bytes = bytes + NEW.bytes; END;
CREATE TRIGGER answer_out AFTER DELETE ON answers BEGIN
    UPDATE total SET bytes = bytes - OLD.bytes;
    DELETE FROM bodies WHERE hash = OLD.hash
        AND NOT EXISTS (SELECT 1 FROM answers WHERE hash = OLD.hash);
    END;
CREATE TRIGGER body_in AFTER INSERT ON bodies
    BEGIN UPDATE total SET bytes = bytes + NEW.bytes; END;
CREATE TRIGGER body_out AFTER DELETE ON bodies BEGIN
    UPDATE total SET bytes = bytes - OLD.bytes;
    INSERT INTO gone VALUES (OLD.hash);
    END;
"""


class Index:
    """Rows of answers and bodies, and how many bytes they are on disk. Thread-safe; its calls wait
    for the disk. Raises `sqlite3.Error` and `OSError`."""

    def __init__(self, path: Path, max_bytes: int, bodies: Bodies) -> None:
        self._path = path
        self._bodies = bodies
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._file = 0, 0
        try:
            self._sqlite = self._open()
        except sqlite3.OperationalError:
            raise  # the file is locked, or the disk is full: not its fault
        except sqlite3.DatabaseError as error:
            self._sqlite = self._anew(error)

    def _open(self) -> sqlite3.Connection:
        opened = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            opened.execute("PRAGMA synchronous = NORMAL")
            opened.execute("PRAGMA recursive_triggers = ON")  # REPLACE deletes, and is counted
            opened.execute("BEGIN IMMEDIATE")
            (version,) = opened.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _statements(_SCHEMA):
                    opened.execute(statement)
                opened.execute(f"PRAGMA user_version = {_VERSION}")
            opened.execute("COMMIT")
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"version {version}")
            (verdict,) = opened.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
        except BaseException:
            opened.close()
            raise
        self._file = _file_of(self._path)
        return opened

    def _anew(self, error: Exception) -> sqlite3.Connection:
        log.warning("index of the cache begun anew", file=str(self._path), error=str(error))
        for suffix in ("-journal", ""):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        return self._open()

    def begin_anew(self, error: Exception) -> None:
        """The file turned out to be spoilt: forget everything."""
        with self._lock:
            self._sqlite.close()
            self._sqlite = self._anew(error)

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            self._sqlite.close()

    @contextmanager
    def _writing(self, undo: Callable[[], None] | None = None) -> Iterator[sqlite3.Connection]:
        """A transaction; where it fails, ``undo`` goes before its lock."""
        with self._lock:
            if _file_of(self._path) != self._file:  # another process has begun it anew
                self._sqlite.close()
                self._sqlite = self._open()
            self._sqlite.execute("BEGIN IMMEDIATE")
            try:
                yield self._sqlite
                self._sqlite.execute("COMMIT")
            except BaseException:
                if undo is not None:
                    undo()
                if self._sqlite.in_transaction:
                    self._sqlite.execute("ROLLBACK")
                raise

    def find(self, url: str) -> Sequence[Stored]:
        """All that is kept of this URL."""
        with self._lock:
            rows = self._sqlite.execute(
                "SELECT url, status, fields, asked, asked_at, came_at, hash, size FROM answers"
                " WHERE url = ?",
                (url,),
            ).fetchall()
        return [_stored(*row) for row in rows]

    def put(self, stored: Stored, now: float, body: Body | None = None) -> None:
        """Keep it, in the place of the same variant. ``body`` None: it is kept already, and where
        it has gone meanwhile, so is this."""
        fields, asked = json.dumps(stored.fields.pairs), json.dumps(stored.asked.pairs)
        size = _ROW_BYTES + len(stored.url) + len(fields) + len(asked)
        placed = False

        def undo() -> None:
            if placed:
                self._bodies.drop(stored.body)

        with self._writing(undo) as sql:
            known = sql.execute(
                "SELECT bytes FROM bodies WHERE hash = ?", (stored.body,)
            ).fetchone()
            if body is None and known is None:
                return
            if body is not None:
                placed = known is None
                self._bodies.place(body)
            disk_bytes = known[0] if body is None else body.disk_bytes
            sql.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(stored.url, stored.variant, stored.status, fields, asked),
                    *(stored.asked_at, stored.came_at, stored.body, stored.size, size, now),
                ),
            )
            # After the answer: the one that it replaced may have been the last with this body.
            sql.execute(
                "INSERT INTO bodies VALUES (?, ?) ON CONFLICT DO NOTHING",
                (stored.body, disk_bytes),
            )
            sql.execute("DELETE FROM gone WHERE hash = ?", (stored.body,))
            sql.execute(
                f"{_TOO_MANY} WHERE url = ? ORDER BY came_at DESC LIMIT -1 OFFSET ?)",
                (stored.url, _MOST_VARIANTS),
            )
            while _total(sql) > self._max_bytes:
                if not sql.execute(f"{_TOO_MANY} ORDER BY used_at LIMIT 1)").rowcount:
                    break
            self._remove(sql)

    def touch(self, stored: Stored, now: float) -> None:
        """It was used; written down once a minute at most, so that who is served waits for no
        other's writing."""
        with self._lock:
            (lately,) = self._sqlite.execute(
                "SELECT count(*) FROM answers WHERE url = ? AND variant = ? AND used_at >= ?",
                (stored.url, stored.variant, now - _TOUCH_AFTER_S),
            ).fetchone()
        if lately:
            return
        with self._writing() as sql:
            sql.execute(
                "UPDATE answers SET used_at = ? WHERE url = ? AND variant = ? AND used_at < ?",
                (now, stored.url, stored.variant, now - _TOUCH_AFTER_S),
            )

    def drop(self, urls: Sequence[str]) -> None:
        """Forget all answers of these URLs."""
        with self._writing() as sql:
            sql.executemany("DELETE FROM answers WHERE url = ?", [(url,) for url in urls])
            self._remove(sql)

    def lose(self, name: str) -> None:
        """Forget all answers with this body, which is spoilt."""
        with self._writing() as sql:
            sql.execute("DELETE FROM answers WHERE hash = ?", (name,))
            self._remove(sql)

    def _remove(self, sql: sqlite3.Connection) -> None:
        """The files of bodies that lost their last answer in this transaction."""
        for (name,) in sql.execute("DELETE FROM gone RETURNING hash").fetchall():
            self._bodies.drop(name)

    def hashes(self) -> frozenset[str]:
        """Of all bodies that are needed."""
        with self._lock:
            return frozenset(row[0] for row in self._sqlite.execute("SELECT hash FROM bodies"))

    def size(self) -> tuple[int, int]:
        """How many answers are kept, and the bytes that they take."""
        with self._lock:
            (answers,) = self._sqlite.execute("SELECT count(*) FROM answers").fetchone()
            return int(answers), _total(self._sqlite)


def _statements(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit what was begun."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _file_of(path: Path) -> tuple[int, int]:
    """What tells it from another of its name; zeros where there is none."""
    try:
        seen = path.stat()
    except FileNotFoundError:
        return 0, 0
    return seen.st_dev, seen.st_ino


def _total(sql: sqlite3.Connection) -> int:
    (total,) = sql.execute("SELECT bytes FROM total").fetchone()
    return int(total)


def _stored(
    url: str,
    status: int,
    fields: str,
    asked: str,
    asked_at: float,
    came_at: float,
    body: str,
    size: int,
) -> Stored:
    return Stored(url, status, _fields(fields), _fields(asked), asked_at, came_at, body, size)


def _fields(text: str) -> Fields:
    return Fields(tuple((name, value) for name, value in json.loads(text)))
