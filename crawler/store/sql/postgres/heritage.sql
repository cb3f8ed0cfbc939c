-- What a run takes over from the one that it builds on. LATERAL and LIMIT 1 ask for page after page
-- in the index, where the planner would rather read all of a run that it takes for a short one.

-- name: select_before
-- With how many pages were first found on each.
SELECT page.*, (
    SELECT count(*) FROM pages AS child
    WHERE child.run_id = %(base)s AND child.parent = wanted.fingerprint
)
FROM unnest(%(fingerprints)s::bytea[]) AS wanted (fingerprint)
CROSS JOIN LATERAL (
    SELECT fingerprint, rule, carry, digest, etag, last_modified, interval_s, due_at, depth,
        matched_rule, content_type
    FROM pages
    WHERE run_id = %(base)s AND fingerprint = wanted.fingerprint AND state = 'done'
        AND digest IS NOT NULL
    LIMIT 1
) AS page;

-- name: select_children
-- Of each page as many as are wanted (null: all), from one on.
SELECT url, host, depth, priority, method, body, rule, carry, child.parent, fingerprint, state,
    reason, fetched_at
FROM unnest(%(parents)s::bytea[], %(firsts)s::bigint[], %(mosts)s::bigint[])
    AS wanted (parent, first, most)
CROSS JOIN LATERAL (
    SELECT * FROM pages
    WHERE run_id = %(base)s AND parent = wanted.parent AND NOT bound
    ORDER BY seq LIMIT wanted.most OFFSET wanted.first
) AS child
ORDER BY seq;

-- name: keep_items
-- Under the lock on the run, as all items: see insert_items.
WITH locked AS MATERIALIZED (
    SELECT id FROM runs WHERE id = %(run_id)s FOR UPDATE
)
INSERT INTO items (run_id, fingerprint, ordinal, rule, definition_revision, fields, missing,
    stored_at, kept)
SELECT locked.id, old.fingerprint, ordinal, old.rule, definition_revision, fields, missing,
    %(now)s, true
FROM locked
CROSS JOIN unnest(%(fingerprints)s::bytea[]) WITH ORDINALITY AS wanted (fingerprint, place)
JOIN items AS old ON old.run_id = %(base)s AND old.fingerprint = wanted.fingerprint
ORDER BY place, ordinal
ON CONFLICT (run_id, fingerprint, ordinal) DO NOTHING
RETURNING missing IS NOT NULL;

-- name: select_swept
SELECT swept FROM counters WHERE run_id = %s AND part = %s;

-- name: select_next_base
-- Said so that the index gives them in order, whatever the planner thinks of the run.
SELECT fingerprint FROM pages
WHERE (run_id, fingerprint) > (%(base)s, %(swept)s) AND run_id <= %(base)s
ORDER BY run_id, fingerprint LIMIT %(limit)s;

-- name: select_left
-- Of these pages of the base those that this run does not know; neither gone ones, nor those that
-- nobody had led to in the base either and that could not be had.
SELECT url, host, depth, priority, method, body, rule, carry, ''::bytea, page.fingerprint, state,
    reason, fetched_at
FROM unnest(%(fingerprints)s::bytea[]) AS wanted (fingerprint)
LEFT JOIN LATERAL (
    SELECT true AS found FROM pages
    WHERE run_id = %(run_id)s AND fingerprint = wanted.fingerprint
    LIMIT 1
) AS known ON true
CROSS JOIN LATERAL (
    SELECT * FROM pages
    WHERE run_id = %(base)s AND fingerprint = wanted.fingerprint AND part = %(part)s
        AND NOT bound AND (state = 'done' OR (
            state IN ('pending', 'failed') AND parent IS DISTINCT FROM ''::bytea
            AND status NOT IN (404, 410)
        ))
    LIMIT 1
) AS page
WHERE known.found IS NULL;

-- name: set_swept
UPDATE counters SET swept = %(swept)s WHERE run_id = %(run_id)s AND part = %(part)s;
