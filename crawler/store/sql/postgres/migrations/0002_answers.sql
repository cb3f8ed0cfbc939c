-- 0002: answers are kept for requests that come again.
-- Programs that know schema 2 can use it.

-- Answers to requests with an Idempotency-Key, so that the same request gets the same answer from
-- whichever master. digest is that of the request, plan what was decided before it was carried out;
-- status 0: no definite answer is known yet.
CREATE TABLE answers (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key TEXT COLLATE "C" NOT NULL UNIQUE,
    digest BYTEA NOT NULL,
    plan TEXT NOT NULL,
    status INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL DEFAULT '',
    at DOUBLE PRECISION NOT NULL
);
