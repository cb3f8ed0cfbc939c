-- What buried resources left. Each statement deletes at most so many rows.

-- name: select_remains
-- Buried resources of which anything is left; pages, items and counters hang on their run.
SELECT id FROM resources
WHERE buried = 1 AND (
    EXISTS (SELECT 1 FROM runs WHERE runs.resource_id = resources.id)
    OR EXISTS (SELECT 1 FROM events WHERE events.resource_id = resources.id)
    OR EXISTS (SELECT 1 FROM fences WHERE fences.resource_id = resources.id)
)
LIMIT :limit;

-- name: select_runs
SELECT id FROM runs WHERE resource_id = ?;

-- name: purge_items
DELETE FROM items WHERE seq IN (SELECT seq FROM items WHERE run_id = ? LIMIT ?);

-- name: purge_attempts
DELETE FROM attempts WHERE seq IN (
    SELECT seq FROM attempts WHERE run_id = ? ORDER BY fingerprint LIMIT ?
);

-- name: purge_pages
DELETE FROM pages WHERE seq IN (
    SELECT seq FROM pages WHERE run_id = ? ORDER BY fingerprint LIMIT ?
);

-- name: purge_counters
DELETE FROM counters WHERE (run_id, part) IN (
    SELECT run_id, part FROM counters WHERE run_id = ? LIMIT ?
);

-- name: purge_outbox
DELETE FROM outbox WHERE (run_id, sink) IN (
    SELECT run_id, sink FROM outbox WHERE run_id = ? LIMIT ?
);

-- name: purge_runs
DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE resource_id = ? LIMIT ?);

-- name: purge_events
DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE resource_id = ? LIMIT ?);

-- name: purge_fences
DELETE FROM fences WHERE (resource_id, part) IN (
    SELECT resource_id, part FROM fences WHERE resource_id = ? LIMIT ?
);
