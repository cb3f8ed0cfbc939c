-- What buried resources left. Each statement deletes at most so many rows, found in the order of an
-- index: the planner would else read the table for them, however few are left.

-- name: select_remains
-- Buried resources of which anything is left; pages, items and counters hang on their run.
SELECT id FROM resources
WHERE buried AND (
    EXISTS (SELECT 1 FROM runs WHERE runs.resource_id = resources.id)
    OR EXISTS (SELECT 1 FROM events WHERE events.resource_id = resources.id)
    OR EXISTS (SELECT 1 FROM fences WHERE fences.resource_id = resources.id)
)
LIMIT %s;

-- name: select_runs
SELECT id FROM runs WHERE resource_id = %s;

-- name: purge_items
DELETE FROM items WHERE seq = ANY (ARRAY(
    SELECT seq FROM items WHERE run_id = %(key)s ORDER BY fingerprint, ordinal LIMIT %(limit)s
));

-- name: purge_attempts
DELETE FROM attempts WHERE seq = ANY (ARRAY(
    SELECT seq FROM attempts WHERE run_id = %(key)s ORDER BY fingerprint, seq LIMIT %(limit)s
));

-- name: purge_pages
DELETE FROM pages WHERE seq = ANY (ARRAY(
    SELECT seq FROM pages WHERE run_id = %(key)s ORDER BY fingerprint LIMIT %(limit)s
));

-- name: purge_counters
DELETE FROM counters WHERE (run_id, part) IN (
    SELECT run_id, part FROM counters WHERE run_id = %(key)s LIMIT %(limit)s
);

-- name: purge_outbox
DELETE FROM outbox WHERE (run_id, sink) IN (
    SELECT run_id, sink FROM outbox WHERE run_id = %(key)s LIMIT %(limit)s
);

-- name: purge_runs
DELETE FROM runs WHERE id = ANY (ARRAY(SELECT id FROM runs WHERE resource_id = %(key)s LIMIT %(limit)s));

-- name: purge_events
DELETE FROM events WHERE seq = ANY (ARRAY(
    SELECT seq FROM events WHERE resource_id = %(key)s ORDER BY seq LIMIT %(limit)s
));

-- name: purge_fences
DELETE FROM fences WHERE (resource_id, part) IN (
    SELECT resource_id, part FROM fences WHERE resource_id = %(key)s LIMIT %(limit)s
);
