-- 0003: every attempt at a page is told of, and events say by which request they came about.
-- Programs that know schema 2 can use it.

-- Attempts at pages that were not the last word on them, or the last of those given up; what went
-- well stands in the page's own row. state is what the page was after it. Of one page the latest are
-- kept.
CREATE TABLE attempts (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id BIGINT NOT NULL,
    fingerprint BYTEA NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    state TEXT NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT NOT NULL,
    elapsed_s DOUBLE PRECISION NOT NULL,
    node TEXT NOT NULL
);

CREATE INDEX attempts_page ON attempts (run_id, fingerprint, seq);

ALTER TABLE attempts ALTER COLUMN run_id SET STATISTICS 0;

-- request_id is of the request that the event goes back to ('': of none).
ALTER TABLE events ADD COLUMN request_id TEXT NOT NULL DEFAULT '';
