-- Who owns what: epochs, fences, tombstones and the mirror of etcd.

-- name: select_store_id
SELECT id FROM store;

-- name: insert_store_id
INSERT INTO store (id) VALUES (?);

-- name: says_reached
-- Whether the schema says how far it is.
SELECT count(*) FROM pragma_table_info('store') WHERE name = 'reached';

-- name: select_reached
SELECT reached FROM store;

-- name: set_reached
UPDATE store SET reached = ?;

-- name: select_epoch
SELECT epoch, revision FROM epochs WHERE cluster = ?;

-- name: select_newest_epoch
SELECT coalesce(max(epoch), 0) FROM epochs;

-- name: insert_epoch
INSERT INTO epochs (epoch, cluster, revision) VALUES (:epoch, :cluster, :revision);

-- name: raise_revision
UPDATE epochs SET revision = :revision WHERE epoch = :epoch AND revision < :revision;

-- name: retire_epochs
-- What was copied back may meet whoever worked with what came after the copy. No assignment of an etcd
-- that it knows counts any more, and whichever etcd there is, it is taken for a new one.
INSERT INTO epochs (epoch, cluster, revision)
SELECT coalesce(max(epoch), 0) + 1, 'restored ' || (coalesce(max(epoch), 0) + 1), 0 FROM epochs;

-- name: close_all_fences
-- And no claim: its owner believes to have stored what the copy lacks, and would not do so again.
UPDATE fences SET open = 0, claim = claim + 1;

-- name: select_leader
SELECT pid, started, boot FROM leaders;

-- name: upsert_leader
INSERT INTO leaders (one, pid, started, boot) VALUES (1, :pid, :started, :boot)
ON CONFLICT (one) DO UPDATE SET pid = excluded.pid, started = excluded.started, boot = excluded.boot;

-- name: select_fence
SELECT epoch, revision, open, pid, started, boot FROM fences WHERE resource_id = ? AND part = ?;

-- name: select_claimants
SELECT pid, started, boot FROM fences WHERE resource_id = ?;

-- name: upsert_fence
INSERT INTO fences (resource_id, part, epoch, revision, claim, open, node, pid, started, boot)
VALUES (:resource_id, :part, :epoch, :revision, 1, :open, :node, :pid, :started, :boot)
ON CONFLICT (resource_id, part) DO UPDATE SET
    epoch = excluded.epoch, revision = excluded.revision, claim = claim + 1, open = excluded.open,
    node = excluded.node, pid = excluded.pid, started = excluded.started, boot = excluded.boot
RETURNING claim;

-- name: close_fences
UPDATE fences SET open = 0, claim = claim + 1 WHERE resource_id = ?;

-- name: check_claim
-- The row of a claim that still stands; every write of a frontier asks this under the write lock.
SELECT 1 FROM fences
WHERE resource_id = ? AND part = ? AND epoch = ? AND revision = ? AND claim = ? AND open = 1;

-- name: is_buried
SELECT 1 FROM resources WHERE id = ? AND buried = 1;

-- name: bury_resource
INSERT INTO resources (id, name, created_ns, definition, desired, run, buried)
VALUES (?, '', 0, NULL, 'deleted', 0, 1)
ON CONFLICT (id) DO UPDATE SET definition = NULL, desired = 'deleted', buried = 1;

-- name: insert_resource
INSERT INTO resources (id, name, created_ns, definition, desired, run, due)
VALUES (:id, :name, 0, :definition, 'running', :run, :due)
ON CONFLICT (id) DO NOTHING;

-- name: upsert_resource
INSERT INTO resources (id, name, created_ns, definition, desired, run, due, since)
VALUES (:id, :name, :created_ns, :definition, :desired, :run, :due, :since)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, created_ns = excluded.created_ns, definition = excluded.definition,
    desired = excluded.desired, run = excluded.run, due = excluded.due, since = excluded.since
WHERE buried = 0;

-- name: select_resources
SELECT id, name, created_ns, definition, desired, run, due, since FROM resources WHERE buried = 0
ORDER BY id;

-- name: insert_run
INSERT INTO runs (resource_id, run, due_at, started_at, recipe) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (resource_id, run) DO NOTHING;

-- name: select_run
SELECT id, due_at, started_at, recipe, base FROM runs WHERE resource_id = ? AND run = ?;

-- name: select_run_of_due
SELECT run FROM runs WHERE resource_id = ? AND due_at = ? AND due_at > 0;

-- name: replace_runs
-- Earlier runs that were not over: nobody goes on with them, or builds on them.
UPDATE runs SET finished = :reason, finished_at = :now, recipe = NULL
WHERE resource_id = :resource_id AND run < :run AND finished = '';

-- name: insert_counters
INSERT INTO counters (run_id, part, swept) VALUES (?, ?, ?)
ON CONFLICT (run_id, part) DO NOTHING;

-- name: select_base
-- The last one that ended by itself, got anything and is still there.
SELECT id, recipe FROM runs
WHERE resource_id = ? AND run < ? AND recipe IS NOT NULL AND kept = 'all'
ORDER BY run DESC LIMIT 1;

-- name: set_base
UPDATE runs SET base = :base WHERE id = :run_id;

-- name: mix_recipes
-- A run that goes on by another definition: nobody builds on it, and it on none.
UPDATE runs SET recipe = '', base = NULL
WHERE id = ? AND finished = '' AND (recipe <> '' OR base IS NOT NULL);

-- name: forget_base
UPDATE counters SET swept = NULL WHERE run_id = ?;

-- name: insert_event
INSERT INTO events (resource_id, at, kind, detail, node, request_id)
VALUES (?, ?, ?, ?, ?, ?);
