-- 0002: answers are kept for requests that come again.
-- Programs that know schema 2 can use it.

-- Answers to requests with an Idempotency-Key, so that the same request gets the same answer from
-- whichever master. digest is that of the request, plan what was decided before it was carried out;
-- status 0: no definite answer is known yet.
CREATE TABLE answers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    plan TEXT NOT NULL,
    status INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL DEFAULT '',
    at REAL NOT NULL
) STRICT;
