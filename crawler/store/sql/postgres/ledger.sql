-- Who owns what: epochs, fences, tombstones and the mirror of etcd.

-- name: select_store
-- Also of a schema that does not say how far it is.
SELECT id, version, (to_jsonb(store) ->> 'reached')::int FROM store;

-- name: insert_store
INSERT INTO store (id, version, reached) VALUES (%(id)s, %(version)s, %(reached)s)
ON CONFLICT (one) DO UPDATE SET version = excluded.version, reached = excluded.reached;

-- name: select_health
SELECT current_setting('server_version'), pg_database_size(current_database()),
    current_setting('synchronous_commit'), pg_is_in_recovery(),
    (SELECT count(*) FROM pg_stat_activity), current_setting('max_connections')::int;

-- name: lock_epochs
-- Epochs are opened one after the other; readers of the table do not wait.
LOCK TABLE epochs IN SHARE ROW EXCLUSIVE MODE;

-- name: select_epoch
SELECT epoch, revision FROM epochs WHERE cluster = %s;

-- name: select_newest_epoch
SELECT coalesce(max(epoch), 0) FROM epochs;

-- name: insert_epoch
INSERT INTO epochs (epoch, cluster, revision) VALUES (%(epoch)s, %(cluster)s, %(revision)s);

-- name: raise_revision
UPDATE epochs SET revision = %(revision)s WHERE epoch = %(epoch)s AND revision < %(revision)s;

-- name: retire_epochs
-- What was copied back may meet whoever worked with what came after the copy. No assignment of an etcd
-- that it knows counts any more, and whichever etcd there is, it is taken for a new one.
INSERT INTO epochs (epoch, cluster, revision)
SELECT coalesce(max(epoch), 0) + 1, 'restored ' || (coalesce(max(epoch), 0) + 1), 0 FROM epochs;

-- name: close_all_fences
-- And no claim: its owner believes to have stored what the copy lacks, and would not do so again.
UPDATE fences SET open = false, claim = claim + 1;

-- name: lock_resource
-- Taken first by everything that writes about a resource as a whole, so that its events come in
-- the order of their seq and nobody waits in a circle.
SELECT buried FROM resources WHERE id = %s FOR UPDATE;

-- name: lock_resources
SELECT id, buried FROM resources WHERE id = ANY (%s::text[]) ORDER BY id FOR UPDATE;

-- name: bury_resource
INSERT INTO resources (id, name, created_ns, definition, desired, run, buried)
VALUES (%s, '', 0, NULL, 'deleted', 0, true)
ON CONFLICT (id) DO UPDATE SET definition = NULL, desired = 'deleted', buried = true;

-- name: insert_resource
INSERT INTO resources (id, name, created_ns, definition, desired, run, due)
VALUES (%(id)s, %(name)s, 0, %(definition)s, 'running', %(run)s, %(due)s)
ON CONFLICT (id) DO NOTHING;

-- name: upsert_resources
-- In the order of their keys, as everybody who locks several.
INSERT INTO resources (id, name, created_ns, definition, desired, run, due, since)
SELECT * FROM unnest(
    %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
    %s::bigint[]
) AS new (id, name, created_ns, definition, desired, run, due, since)
ORDER BY new.id
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, created_ns = excluded.created_ns, definition = excluded.definition,
    desired = excluded.desired, run = excluded.run, due = excluded.due, since = excluded.since
WHERE NOT resources.buried;

-- name: select_resources
SELECT id, name, created_ns, definition, desired, run, due, since FROM resources WHERE NOT buried
ORDER BY id COLLATE "C";

-- name: select_fence
SELECT epoch, revision, open FROM fences WHERE resource_id = %s AND part = %s FOR UPDATE;

-- name: upsert_fence
-- Where there was no row to lock, another may have come in between: tokens never fall.
INSERT INTO fences (resource_id, part, epoch, revision, claim, open, node)
VALUES (%(resource_id)s, %(part)s, %(epoch)s, %(revision)s, 1, %(open)s, %(node)s)
ON CONFLICT (resource_id, part) DO UPDATE SET
    epoch = excluded.epoch, revision = excluded.revision, claim = fences.claim + 1,
    open = excluded.open, node = excluded.node
WHERE (fences.epoch, fences.revision) < (excluded.epoch, excluded.revision)
    OR ((fences.epoch, fences.revision) = (excluded.epoch, excluded.revision)
        AND (fences.open OR NOT excluded.open))
RETURNING claim;

-- name: close_fences
UPDATE fences SET open = false, claim = claim + 1 WHERE resource_id = %s;

-- name: check_claim
-- A claim that still stands. Without the lock a newer claim could commit between this look and
-- our own commit.
SELECT 1 FROM fences
WHERE resource_id = %s AND part = %s AND epoch = %s AND revision = %s AND claim = %s AND open
FOR SHARE;

-- name: look_at_claim
-- For what only reads.
SELECT 1 FROM fences
WHERE resource_id = %s AND part = %s AND epoch = %s AND revision = %s AND claim = %s AND open;

-- name: insert_run
INSERT INTO runs (resource_id, run, due_at, started_at, recipe) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (resource_id, run) DO NOTHING;

-- name: select_run
SELECT id, due_at, started_at, recipe, base FROM runs WHERE resource_id = %s AND run = %s;

-- name: select_run_of_due
SELECT run FROM runs WHERE resource_id = %s AND due_at = %s AND due_at > 0;

-- name: replace_runs
-- Earlier runs that were not over: nobody goes on with them, or builds on them.
UPDATE runs SET finished = %(reason)s, finished_at = %(now)s, recipe = NULL
WHERE resource_id = %(resource_id)s AND run < %(run)s AND finished = '';

-- name: insert_counters
INSERT INTO counters (run_id, part, swept) VALUES (%s, %s, %s)
ON CONFLICT (run_id, part) DO NOTHING;

-- name: select_base
-- The last one that ended by itself, got anything and is still there.
SELECT id, recipe FROM runs
WHERE resource_id = %s AND run < %s AND recipe IS NOT NULL AND kept = 'all'
ORDER BY run DESC LIMIT 1;

-- name: set_base
UPDATE runs SET base = %(base)s WHERE id = %(run_id)s;

-- name: mix_recipes
-- A run that goes on by another definition: nobody builds on it, and it on none.
UPDATE runs SET recipe = '', base = NULL
WHERE id = %s AND finished = '' AND (recipe <> '' OR base IS NOT NULL);

-- name: forget_base
UPDATE counters SET swept = NULL WHERE run_id = %s;

-- name: insert_events
INSERT INTO events (resource_id, at, kind, detail, node, request_id)
SELECT resource_id, at, kind, detail, node, request_id
FROM unnest(%s::text[], %s::float8[], %s::text[], %s::text[], %s::text[], %s::text[])
    WITH ORDINALITY AS new (resource_id, at, kind, detail, node, request_id, place)
ORDER BY place;
