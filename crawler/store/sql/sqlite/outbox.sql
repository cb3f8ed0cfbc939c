-- How far each sink of a run has got with the run's items. A lease counts by its number alone: who
-- was late sends again what another sends too, but moves nothing.

-- name: insert_outbox
-- At a claim: the sink is tried at once, whatever it waited for.
INSERT INTO outbox (run_id, sink, behind) VALUES (?, ?, 1)
ON CONFLICT (run_id, sink) DO UPDATE SET behind = 1;

-- name: forget_sinks
-- Those that the definition does not name any more.
DELETE FROM outbox
WHERE run_id IN (SELECT id FROM runs WHERE resource_id = :resource_id)
    AND sink NOT IN (SELECT value FROM json_each(:sinks) AS wanted);

-- name: hurry_outbox
UPDATE outbox SET due = 0, failures = 0
WHERE run_id IN (SELECT id FROM runs WHERE resource_id = ?) AND due <> 0;

-- name: wake_outbox
-- In the transaction that adds items.
UPDATE outbox SET behind = 1 WHERE run_id = ? AND behind = 0;

-- name: select_due_outbox
-- Of the runs of a resource the oldest first, so that a sink gets them one after the other.
SELECT outbox.run_id, outbox.sink FROM outbox
WHERE behind = 1 AND (due <= :now OR due > :too_late)
    AND (holder IN ('', :holder) OR until <= :now OR until > :too_long)
    AND NOT EXISTS (
        SELECT 1 FROM runs JOIN runs AS older
            ON older.resource_id = runs.resource_id AND older.run < runs.run
        JOIN outbox AS before ON before.run_id = older.id AND before.sink = outbox.sink
        WHERE runs.id = outbox.run_id AND before.behind = 1
    )
ORDER BY due LIMIT :limit;

-- name: lease_outbox
UPDATE outbox SET lease = lease + 1, holder = :holder, until = :until
WHERE run_id = :run_id AND sink = :sink;

-- name: select_delivery
SELECT outbox.run_id, runs.resource_id, resources.name, runs.run, outbox.sink,
    json_extract(resources.definition, '$.sinks'), lease, seq, failures
FROM outbox
JOIN runs ON runs.id = outbox.run_id
JOIN resources ON resources.id = runs.resource_id
WHERE outbox.run_id = :run_id AND outbox.sink = :sink AND resources.buried = 0;

-- name: check_lease
SELECT 1 FROM outbox
JOIN runs ON runs.id = outbox.run_id
JOIN resources ON resources.id = runs.resource_id
WHERE outbox.run_id = :run_id AND outbox.sink = :sink AND lease = :lease AND resources.buried = 0;

-- name: select_outgoing
-- Read lazily, until enough bytes are gathered.
SELECT items.seq, items.fingerprint, ordinal, coalesce(items.url, pages.url, ''), items.rule, fields, missing,
    stored_at
FROM items
LEFT JOIN pages ON pages.run_id = items.run_id AND pages.fingerprint = items.fingerprint
WHERE items.run_id = :run_id AND items.seq > :seq AND kept = 0
ORDER BY items.seq LIMIT :limit;

-- name: advance_outbox
-- Repeated, it counts once.
UPDATE outbox SET delivered = delivered + CASE WHEN seq < :seq THEN :count ELSE 0 END,
    seq = max(seq, :seq), delivered_at = :now, failures = 0, trouble = '', until = :until
WHERE run_id = :run_id AND sink = :sink AND lease = :lease;

-- name: settle_outbox
UPDATE outbox SET behind = 0, holder = '', until = 0
WHERE run_id = :run_id AND sink = :sink AND lease = :lease
    AND NOT EXISTS (
        SELECT 1 FROM items WHERE items.run_id = :run_id AND items.seq > outbox.seq AND kept = 0
    );

-- name: postpone_outbox
UPDATE outbox SET due = :due, failures = failures + :failed, holder = '', until = 0,
    trouble = CASE WHEN :failed THEN :trouble ELSE trouble END
WHERE run_id = :run_id AND sink = :sink AND lease = :lease;

-- name: release_outbox
UPDATE outbox SET holder = '', until = 0 WHERE behind = 1 AND holder = ?;

-- name: select_lags
-- Of the sinks that are behind, those first that are due first.
SELECT resources.name, outbox.sink,
    (SELECT sum(items - kept) FROM counters WHERE counters.run_id = outbox.run_id) - delivered
FROM outbox
JOIN runs ON runs.id = outbox.run_id
JOIN resources ON resources.id = runs.resource_id
WHERE behind = 1 AND resources.buried = 0
ORDER BY outbox.due LIMIT ?;

-- name: list_sinks
SELECT outbox.sink, runs.run, delivered,
    (SELECT sum(items - kept) FROM counters WHERE counters.run_id = runs.id) - delivered AS lag,
    CASE WHEN until > :now THEN holder ELSE '' END, trouble, failures, delivered_at
FROM runs JOIN outbox ON outbox.run_id = runs.id
WHERE runs.resource_id = :resource_id
    AND (behind = 1 OR NOT EXISTS (
        SELECT 1 FROM runs AS newer JOIN outbox AS after ON after.run_id = newer.id
        WHERE newer.resource_id = :resource_id AND newer.run > runs.run
            AND after.sink = outbox.sink
    ))
ORDER BY runs.run DESC, outbox.sink LIMIT :limit;
