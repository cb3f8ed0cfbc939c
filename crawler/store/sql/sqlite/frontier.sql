-- The URLs of a run: what is to be fetched, what came of it, and the counters.

-- name: select_best
-- Skip-scan: its first row is the best of the next host, found without reading the rows between.
-- Read lazily, row by row, until one is found that is not skipped.
SELECT seq, fingerprint, url, host, depth, priority, method, body, rule, carry, parent, attempts,
    strikes
FROM pages
WHERE run_id = :run_id AND part = :part AND state = 'pending' AND not_before = 0 AND host > :host
ORDER BY host, priority DESC, seq;

-- name: select_due
-- One host's; read lazily, until enough are found.
SELECT seq, fingerprint, url, host, depth, priority, method, body, rule, carry, parent, attempts,
    strikes
FROM pages
WHERE run_id = :run_id AND part = :part AND state = 'pending' AND not_before = 0 AND host = :host
ORDER BY priority DESC, seq;

-- name: select_target
SELECT final_url FROM pages
WHERE run_id = :run_id AND fingerprint = :fingerprint AND state = 'done'
    AND final_url NOT IN ('', url);

-- name: select_next_at
-- With the time at which the last wait began; in the future, the clock has stepped back since.
SELECT not_before, (
    SELECT fetched_at FROM pages
    WHERE run_id = :run_id AND part = :part AND state = 'pending' AND not_before <> 0
    ORDER BY fetched_at DESC LIMIT 1
) FROM pages
WHERE run_id = :run_id AND part = :part AND state = 'pending' AND not_before > 0
ORDER BY not_before LIMIT 1;

-- name: promote_due
UPDATE pages SET not_before = 0 WHERE seq IN (
    SELECT seq FROM pages
    WHERE run_id = :run_id AND part = :part AND state = 'pending' AND not_before > 0
        AND not_before <= :now
    ORDER BY not_before LIMIT :limit
);

-- name: promote_stepped
-- Waits that began in the future.
UPDATE pages SET not_before = 0 WHERE seq IN (
    SELECT seq FROM pages
    WHERE run_id = :run_id AND part = :part AND state = 'pending' AND not_before <> 0
        AND fetched_at > :ahead
    ORDER BY fetched_at DESC LIMIT :limit
);

-- name: insert_page
-- The first committed link to a URL wins; the count of changed rows says what was new.
INSERT INTO pages (run_id, part, state, reason, fingerprint, url, host, method, body, bound, depth,
    priority, rule, carry, parent)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, fingerprint) DO NOTHING;

-- name: select_known
-- Asked before rows are made of links: most links of a page are known already.
SELECT fingerprint FROM pages WHERE run_id = ? AND fingerprint IN (/* fingerprints */);

-- name: has_excluded
SELECT 1 FROM pages WHERE run_id = ? AND state = 'excluded' LIMIT 1;

-- name: select_refused
-- Excluded when they were found (for their depth): no visit ended them, as robots.txt would.
SELECT fingerprint FROM pages
WHERE run_id = ? AND fingerprint IN (/* fingerprints */) AND +state = 'excluded' AND fetched_at = 0;

-- name: revive_page
-- A refused link is found again, by a way on which it is not refused. It keeps its place.
UPDATE pages SET state = 'pending', reason = '', depth = ?, priority = ?, rule = ?, carry = ?,
    parent = ?
WHERE run_id = ? AND fingerprint = ? AND state = 'excluded' AND fetched_at = 0;

-- name: select_pending
SELECT fingerprint, seq, attempts FROM pages
WHERE run_id = ? AND part = ? AND fingerprint IN (/* fingerprints */) AND +state = 'pending';

-- name: select_strikes
SELECT seq, strikes, bound FROM pages
WHERE run_id = ? AND fingerprint = ? AND part = ? AND state = 'pending';

-- name: complete_page
WITH visit (state, reason, status, final_url, content_type, size_bytes, elapsed_s, matched_rule,
    fetched_at, attempts, not_before, digest, etag, last_modified, interval_s, due_at, seq) AS (
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
)
UPDATE pages SET state = visit.state, reason = visit.reason, status = visit.status,
    final_url = visit.final_url, content_type = visit.content_type, size_bytes = visit.size_bytes,
    elapsed_s = visit.elapsed_s, matched_rule = visit.matched_rule, fetched_at = visit.fetched_at,
    attempts = visit.attempts, not_before = visit.not_before, digest = visit.digest,
    etag = visit.etag, last_modified = visit.last_modified, interval_s = visit.interval_s,
    due_at = visit.due_at
FROM visit WHERE pages.seq = visit.seq;

-- name: strike_page
UPDATE pages SET strikes = :strikes, state = :state, reason = :reason, not_before = 0
WHERE seq = :seq;

-- name: insert_attempt
INSERT INTO attempts (run_id, fingerprint, at, state, status, reason, elapsed_s, node)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: forget_attempts
-- Of a page all but the latest.
DELETE FROM attempts WHERE seq IN (
    SELECT seq FROM attempts WHERE run_id = ? AND fingerprint = ?
    ORDER BY seq DESC LIMIT -1 OFFSET ?
);

-- name: insert_item
INSERT INTO items (run_id, fingerprint, ordinal, rule, definition_revision, fields, missing,
    stored_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, fingerprint, ordinal) DO NOTHING;

-- name: add_counters
UPDATE counters SET known = known + :known, done = done + :done, failed = failed + :failed,
    excluded = excluded + :excluded, items = items + :items,
    incomplete_items = incomplete_items + :incomplete_items,
    fetched_bytes = fetched_bytes + :fetched_bytes, unchanged = unchanged + :unchanged,
    kept = kept + :kept
WHERE run_id = :run_id AND part = :part;

-- name: select_seeded
SELECT seeded FROM runs WHERE id = ?;

-- name: set_seeded
UPDATE runs SET seeded = 1 WHERE id = ?;

-- name: finish_run
-- Nobody builds on a run in which nothing could be had.
UPDATE runs SET finished = :reason, finished_at = :now, recipe = CASE
    WHEN (SELECT sum(done) FROM counters WHERE run_id = :run_id) > 0 THEN recipe
END
WHERE id = :run_id AND finished = '' AND (:limit OR (seeded = 1 AND (
    SELECT sum(known - done - failed - excluded) FROM counters WHERE run_id = :run_id
) = 0 AND NOT EXISTS (
    SELECT 1 FROM counters WHERE run_id = :run_id AND swept IS NOT NULL
)));

-- name: select_progress
SELECT sum(known), sum(done), sum(failed), sum(excluded), sum(items), sum(incomplete_items),
    sum(fetched_bytes), seeded, finished, sum(unchanged)
FROM runs JOIN counters ON counters.run_id = runs.id
WHERE runs.id = ?;
