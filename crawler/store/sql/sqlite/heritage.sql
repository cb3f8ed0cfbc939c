-- What a run takes over from the one that it builds on.

-- name: select_before
-- With how many pages were first found on each.
SELECT fingerprint, rule, carry, digest, etag, last_modified, interval_s, due_at, depth,
    matched_rule, content_type, (
    SELECT count(*) FROM pages AS child
    WHERE child.run_id = page.run_id AND child.parent = page.fingerprint
)
FROM pages AS page
WHERE run_id = ? AND fingerprint IN (/* fingerprints */) AND +state = 'done'
    AND digest IS NOT NULL;

-- name: select_children
SELECT url, host, depth, priority, method, body, rule, carry, parent, fingerprint, state, reason,
    fetched_at
FROM pages
WHERE run_id = :base AND parent = :parent AND bound = 0
ORDER BY seq LIMIT :most OFFSET :first;

-- name: keep_items
INSERT INTO items (run_id, fingerprint, ordinal, rule, definition_revision, fields, missing,
    stored_at, kept)
SELECT :run_id, fingerprint, ordinal, rule, definition_revision, fields, missing, :now, 1
FROM items
WHERE run_id = :base AND fingerprint = :fingerprint
ORDER BY ordinal
RETURNING missing;

-- name: select_swept
SELECT swept FROM counters WHERE run_id = ? AND part = ?;

-- name: select_next_base
SELECT fingerprint FROM pages WHERE run_id = :base AND fingerprint > :swept
ORDER BY fingerprint LIMIT :limit;

-- name: select_left
-- Neither gone ones, nor those that nobody had led to in the base either and that could not be had.
SELECT url, host, depth, priority, method, body, rule, carry, x'', fingerprint, state, reason,
    fetched_at
FROM pages
WHERE run_id = ? AND part = ? AND fingerprint IN (/* fingerprints */) AND bound = 0
    AND (+state = 'done' OR (
        +state IN ('pending', 'failed') AND parent IS NOT x'' AND +status NOT IN (404, 410)
    ));

-- name: set_swept
UPDATE counters SET swept = :swept WHERE run_id = :run_id AND part = :part;
