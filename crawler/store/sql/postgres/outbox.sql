-- How far each sink of a run has got with the run's items. A lease counts by its number alone: who
-- was late sends again what another sends too, but moves nothing.

-- name: insert_outbox
INSERT INTO outbox (run_id, sink, behind)
SELECT %s, sink, true FROM unnest(%s::text[]) AS new (sink) ORDER BY sink
ON CONFLICT (run_id, sink) DO UPDATE SET behind = true;

-- name: forget_sinks
-- Those that the definition does not name any more.
DELETE FROM outbox
WHERE run_id IN (SELECT id FROM runs WHERE resource_id = %s) AND sink <> ALL (%s::text[]);

-- name: hurry_outbox
-- At a claim: every sink is tried at once, whatever it waited for.
UPDATE outbox SET due = 0, failures = 0
WHERE run_id IN (SELECT id FROM runs WHERE resource_id = %s) AND due <> 0;

-- name: wake_outbox
-- In the transaction that adds items, behind the lock on the run under which their seq was drawn.
-- Whoever settles takes that lock too: either it sees the items, or this sees what it settled.
UPDATE outbox SET behind = true WHERE run_id = %s AND NOT behind;

-- name: select_due_outbox
-- Of the runs of a resource the oldest first, so that a sink gets them one after the other.
SELECT outbox.run_id, outbox.sink FROM outbox
WHERE behind AND (due <= %(now)s OR due > %(too_late)s)
    AND (holder IN ('', %(holder)s) OR until <= %(now)s OR until > %(too_long)s)
    AND NOT EXISTS (
        SELECT 1 FROM runs JOIN runs AS older
            ON older.resource_id = runs.resource_id AND older.run < runs.run
        JOIN outbox AS before ON before.run_id = older.id AND before.sink = outbox.sink
        WHERE runs.id = outbox.run_id AND before.behind
    )
ORDER BY due LIMIT %(limit)s;

-- name: lock_due_outbox
-- Looked at again once locked; what another takes meanwhile is its own.
SELECT run_id, sink FROM outbox
WHERE run_id = %(run_id)s AND sink = %(sink)s AND behind
    AND (holder IN ('', %(holder)s) OR until <= %(now)s OR until > %(too_long)s)
FOR UPDATE SKIP LOCKED;

-- name: lease_outbox
UPDATE outbox SET lease = lease + 1, holder = %(holder)s, until = %(until)s
WHERE run_id = %(run_id)s AND sink = %(sink)s;

-- name: select_delivery
SELECT outbox.run_id, runs.resource_id, resources.name, runs.run, outbox.sink,
    (resources.definition::json -> 'sinks')::text, lease, seq, failures
FROM outbox
JOIN runs ON runs.id = outbox.run_id
JOIN resources ON resources.id = runs.resource_id
WHERE outbox.run_id = %(run_id)s AND outbox.sink = %(sink)s AND NOT resources.buried;

-- name: check_lease
SELECT 1 FROM outbox
JOIN runs ON runs.id = outbox.run_id
JOIN resources ON resources.id = runs.resource_id
WHERE outbox.run_id = %(run_id)s AND outbox.sink = %(sink)s AND lease = %(lease)s
    AND NOT resources.buried;

-- name: select_outgoing
-- Up to so many items, and no more once so many bytes are gathered.
SELECT seq, sized.fingerprint, ordinal, coalesce(sized.url, pages.url, ''), sized.rule, fields::text,
    missing::text, stored_at
FROM (
    SELECT *, sum(octet_length(fields::text)) OVER (ORDER BY seq) - octet_length(fields::text)
        AS bytes_before
    FROM (
        SELECT * FROM items
        WHERE run_id = %(run_id)s AND seq > %(seq)s AND seq > 0 AND NOT kept
        ORDER BY seq LIMIT %(limit)s
    ) AS next
) AS sized
LEFT JOIN (SELECT run_id, fingerprint, url FROM pages) AS pages
    ON pages.run_id = sized.run_id AND pages.fingerprint = sized.fingerprint
WHERE bytes_before < %(max_bytes)s
ORDER BY seq;

-- name: advance_outbox
-- Repeated, it counts once.
UPDATE outbox SET
    delivered = delivered + CASE WHEN seq < %(seq)s THEN %(count)s ELSE 0 END,
    seq = greatest(seq, %(seq)s), delivered_at = %(now)s, failures = 0, trouble = '',
    until = %(until)s
WHERE run_id = %(run_id)s AND sink = %(sink)s AND lease = %(lease)s;

-- name: lock_run
-- Items are added under this lock: see wake_outbox.
SELECT id FROM runs WHERE id = %s FOR UPDATE;

-- name: settle_outbox
UPDATE outbox SET behind = false, holder = '', until = 0
WHERE run_id = %(run_id)s AND sink = %(sink)s AND lease = %(lease)s
    AND NOT EXISTS (
        SELECT 1 FROM items WHERE items.run_id = %(run_id)s AND items.seq > outbox.seq
            AND items.seq > 0 AND NOT items.kept
    );

-- name: postpone_outbox
UPDATE outbox SET due = %(due)s, failures = failures + %(failed)s::int, holder = '', until = 0,
    trouble = CASE WHEN %(failed)s::int > 0 THEN %(trouble)s ELSE trouble END
WHERE run_id = %(run_id)s AND sink = %(sink)s AND lease = %(lease)s;

-- name: release_outbox
UPDATE outbox SET holder = '', until = 0 WHERE behind AND holder = %s;

-- name: select_lags
-- Of the sinks that are behind, those first that are due first.
SELECT resources.name, outbox.sink,
    (SELECT sum(items - kept) FROM counters WHERE counters.run_id = outbox.run_id)::bigint - delivered
FROM outbox
JOIN runs ON runs.id = outbox.run_id
JOIN resources ON resources.id = runs.resource_id
WHERE behind AND NOT resources.buried
ORDER BY outbox.due LIMIT %s;

-- name: list_sinks
SELECT outbox.sink, runs.run, delivered,
    (SELECT sum(items - kept) FROM counters WHERE counters.run_id = runs.id)::bigint - delivered AS lag,
    CASE WHEN until > %(now)s THEN holder ELSE '' END, trouble, failures, delivered_at
FROM runs JOIN outbox ON outbox.run_id = runs.id
WHERE runs.resource_id = %(resource_id)s
    AND (behind OR NOT EXISTS (
        SELECT 1 FROM runs AS newer JOIN outbox AS after ON after.run_id = newer.id
        WHERE newer.resource_id = %(resource_id)s AND newer.run > runs.run
            AND after.sink = outbox.sink
    ))
ORDER BY runs.run DESC, outbox.sink LIMIT %(limit)s;
