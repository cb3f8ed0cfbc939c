-- The URLs of a run: what is to be fetched, what came of it, and the counters.

-- name: select_bests
-- The best row of each of the next hosts, found without reading the rows between: the recursion
-- goes from host to host in the index and ends with the LIMIT.
WITH RECURSIVE best AS (
    (
        SELECT seq, fingerprint, url, host, depth, priority, method, body, rule, carry, parent,
            attempts, strikes
        FROM pages
        WHERE run_id = %(run_id)s AND part = %(part)s AND state = 'pending' AND not_before = 0
            AND host > %(host)s AND fingerprint <> ALL (%(skip)s::bytea[])
        ORDER BY host, priority DESC, seq
        LIMIT 1
    )
    UNION ALL
    SELECT next.*
    FROM best CROSS JOIN LATERAL (
        SELECT seq, fingerprint, url, host, depth, priority, method, body, rule, carry, parent,
            attempts, strikes
        FROM pages
        WHERE run_id = %(run_id)s AND part = %(part)s AND state = 'pending' AND not_before = 0
            AND host > best.host AND fingerprint <> ALL (%(skip)s::bytea[])
        ORDER BY host, priority DESC, seq
        LIMIT 1
    ) AS next
)
SELECT * FROM best LIMIT %(limit)s;

-- name: select_due
-- So many of each of these hosts.
SELECT due.*
FROM unnest(%(hosts)s::text[]) AS wanted (host)
CROSS JOIN LATERAL (
    SELECT seq, fingerprint, url, host, depth, priority, method, body, rule, carry, parent,
        attempts, strikes
    FROM pages
    WHERE run_id = %(run_id)s AND part = %(part)s AND state = 'pending' AND not_before = 0
        AND host = wanted.host AND fingerprint <> ALL (%(skip)s::bytea[])
    ORDER BY host, priority DESC, seq
    LIMIT %(count)s
) AS due;

-- name: select_targets
SELECT final_url FROM pages
WHERE run_id = %s AND fingerprint = ANY (%s::bytea[]) AND state = 'done'
    AND final_url NOT IN ('', url)
ORDER BY array_position(%s::bytea[], fingerprint);

-- name: select_next_at
-- With the time at which the last wait began; in the future, the clock has stepped back since.
SELECT not_before, (
    SELECT fetched_at FROM pages
    WHERE run_id = %(run_id)s AND part = %(part)s AND state = 'pending' AND not_before <> 0
    ORDER BY fetched_at DESC LIMIT 1
) FROM pages
WHERE run_id = %(run_id)s AND part = %(part)s AND state = 'pending' AND not_before > 0
ORDER BY not_before LIMIT 1;

-- name: promote_due
UPDATE pages SET not_before = 0 WHERE seq = ANY (ARRAY(
    SELECT seq FROM pages
    WHERE run_id = %(run_id)s AND part = %(part)s AND state = 'pending' AND not_before > 0
        AND not_before <= %(now)s
    ORDER BY not_before LIMIT %(limit)s
)) AND state = 'pending';

-- name: promote_stepped
-- Waits that began in the future.
UPDATE pages SET not_before = 0 WHERE seq = ANY (ARRAY(
    SELECT seq FROM pages
    WHERE run_id = %(run_id)s AND part = %(part)s AND state = 'pending' AND not_before <> 0
        AND fetched_at > %(ahead)s
    ORDER BY fetched_at DESC LIMIT %(limit)s
)) AND state = 'pending';

-- name: insert_pages
-- The first committed link to a URL wins; the inserted rows say what was new. seq is
-- drawn in the order found; the rows go in by fingerprint, so that two parts that find the same
-- links at once wait for each other in one order.
INSERT INTO pages (seq, run_id, part, state, reason, fingerprint, url, host, method, body, bound,
    depth, priority, rule, carry, parent)
SELECT seq, run_id, part, state, reason, fingerprint, url, host, method, body, bound, depth,
    priority, rule, carry, parent
FROM (
    SELECT nextval(pg_get_serial_sequence('pages', 'seq')) AS seq, found.*
    FROM (
        SELECT * FROM unnest(
            %s::bigint[], %s::int[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[],
            %s::text[], %s::bytea[], %s::bool[], %s::int[], %s::int[], %s::text[], %s::text[],
            %s::bytea[]
        ) WITH ORDINALITY AS new (run_id, part, state, reason, fingerprint, url, host, method,
            body, bound, depth, priority, rule, carry, parent, place)
        ORDER BY place
    ) AS found
    OFFSET 0
) AS numbered
ORDER BY fingerprint
ON CONFLICT (run_id, fingerprint) DO NOTHING
RETURNING fingerprint, state;

-- name: select_known
-- Asked before rows are made of links: most links of a page are known already.
SELECT fingerprint FROM pages WHERE run_id = %s AND fingerprint = ANY (%s::bytea[]);

-- name: has_excluded
SELECT 1 FROM counters WHERE run_id = %s HAVING sum(excluded) > 0;

-- name: select_refused
-- Excluded when they were found (for their depth): no visit ended them, as robots.txt would.
-- Locked in one order, and looked at again once locked.
SELECT fingerprint FROM pages
WHERE run_id = %s AND fingerprint = ANY (%s::bytea[])
    AND state = 'excluded' AND fetched_at = 0
ORDER BY fingerprint FOR UPDATE;

-- name: revive_pages
-- A refused link is found again, by a way on which it is not refused. It keeps its place.
UPDATE pages SET state = 'pending', reason = '', depth = new.depth, priority = new.priority,
    rule = new.rule, carry = new.carry, parent = new.parent
FROM unnest(
    %s::int[], %s::int[], %s::text[], %s::text[], %s::bytea[], %s::bigint[], %s::bytea[]
) AS new (depth, priority, rule, carry, parent, run_id, fingerprint)
WHERE pages.run_id = new.run_id AND pages.fingerprint = new.fingerprint
    AND pages.state = 'excluded' AND pages.fetched_at = 0;

-- name: select_pending
-- Locked: nobody else completes them meanwhile. Only the claimant of the part does so, and waits
-- for itself only, where it repeats a commit of which the first is not over yet.
SELECT fingerprint, seq, attempts FROM pages
WHERE run_id = %s AND part = %s AND fingerprint = ANY (%s::bytea[])
    AND state = 'pending'
ORDER BY fingerprint FOR UPDATE;

-- name: select_strikes
SELECT seq, strikes, bound FROM pages
WHERE run_id = %s AND fingerprint = %s AND part = %s AND state = 'pending'
FOR UPDATE;

-- name: complete_pages
UPDATE pages SET state = new.state, reason = new.reason, status = new.status,
    final_url = new.final_url, content_type = new.content_type, size_bytes = new.size_bytes,
    elapsed_s = new.elapsed_s, matched_rule = new.matched_rule, fetched_at = new.fetched_at,
    attempts = new.attempts, not_before = new.not_before, digest = new.digest, etag = new.etag,
    last_modified = new.last_modified, interval_s = new.interval_s, due_at = new.due_at
FROM unnest(
    %s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::bigint[], %s::float8[],
    %s::text[], %s::float8[], %s::int[], %s::float8[], %s::bytea[], %s::text[], %s::text[],
    %s::float8[], %s::float8[], %s::bigint[]
) AS new (state, reason, status, final_url, content_type, size_bytes, elapsed_s, matched_rule,
    fetched_at, attempts, not_before, digest, etag, last_modified, interval_s, due_at, seq)
WHERE pages.seq = new.seq;

-- name: strike_page
UPDATE pages SET strikes = %(strikes)s, state = %(state)s, reason = %(reason)s, not_before = 0
WHERE seq = %(seq)s;

-- name: insert_attempts
INSERT INTO attempts (run_id, fingerprint, at, state, status, reason, elapsed_s, node)
SELECT run_id, fingerprint, at, state, status, reason, elapsed_s, node
FROM unnest(
    %s::bigint[], %s::bytea[], %s::float8[], %s::text[], %s::int[], %s::text[], %s::float8[],
    %s::text[]
) WITH ORDINALITY AS new (run_id, fingerprint, at, state, status, reason, elapsed_s, node, place)
ORDER BY place;

-- name: forget_attempts
-- Of each of these pages all but the latest.
DELETE FROM attempts WHERE seq = ANY (ARRAY(
    SELECT old.seq FROM unnest(%(fingerprints)s::bytea[]) AS page (fingerprint)
    CROSS JOIN LATERAL (
        SELECT seq FROM attempts
        WHERE run_id = %(run_id)s AND fingerprint = page.fingerprint
        ORDER BY seq DESC OFFSET %(kept)s
    ) AS old
));

-- name: insert_items
-- seq is drawn while the run is locked, so that it rises in the order of the commits, also where
-- several parts write: a reader behind a cursor misses nothing.
WITH locked AS MATERIALIZED (
    SELECT id FROM runs WHERE id = %s FOR UPDATE
)
INSERT INTO items (run_id, fingerprint, ordinal, rule, definition_revision, fields, missing,
    stored_at)
SELECT new.run_id, fingerprint, ordinal, rule, definition_revision, fields::json, missing::json,
    stored_at
FROM locked CROSS JOIN unnest(
    %s::bigint[], %s::bytea[], %s::int[], %s::text[], %s::bigint[], %s::text[], %s::text[],
    %s::float8[]
) WITH ORDINALITY AS new (run_id, fingerprint, ordinal, rule, definition_revision, fields,
    missing, stored_at, place)
ORDER BY place
ON CONFLICT (run_id, fingerprint, ordinal) DO NOTHING;

-- name: add_counters
UPDATE counters SET known = known + %(known)s, done = done + %(done)s,
    failed = failed + %(failed)s, excluded = excluded + %(excluded)s, items = items + %(items)s,
    incomplete_items = incomplete_items + %(incomplete_items)s,
    fetched_bytes = fetched_bytes + %(fetched_bytes)s, unchanged = unchanged + %(unchanged)s,
    kept = kept + %(kept)s
WHERE run_id = %(run_id)s AND part = %(part)s;

-- name: lock_seeded
SELECT seeded FROM runs WHERE id = %s FOR UPDATE;

-- name: set_seeded
UPDATE runs SET seeded = true WHERE id = %s;

-- name: finish_run
-- Whoever commits meanwhile has a page that still counts as pending here: its completion and what
-- it found become visible together. Nobody builds on a run in which nothing could be had.
UPDATE runs SET finished = %(reason)s, finished_at = %(now)s, recipe = CASE
    WHEN (SELECT sum(done) FROM counters WHERE run_id = %(run_id)s) > 0 THEN recipe
END
WHERE id = %(run_id)s AND finished = '' AND (%(at_limit)s OR (seeded AND (
    SELECT sum(known - done - failed - excluded) FROM counters WHERE run_id = %(run_id)s
) = 0 AND NOT EXISTS (
    SELECT 1 FROM counters WHERE run_id = %(run_id)s AND swept IS NOT NULL
)));

-- name: select_progress
SELECT sum(known)::bigint, sum(done)::bigint, sum(failed)::bigint, sum(excluded)::bigint,
    sum(items)::bigint, sum(incomplete_items)::bigint, sum(fetched_bytes)::bigint, seeded, finished,
    sum(unchanged)::bigint
FROM runs JOIN counters ON counters.run_id = runs.id
WHERE runs.id = %s
GROUP BY runs.id;
