-- Turns on hosts.

-- name: add_turns
-- So that there is a row to lock. In the order in which they are locked, and before any is: two
-- that ask for hosts nobody knew would wait for each other in a circle.
INSERT INTO turns (host, holder, until, not_before)
SELECT host, '', 0, 0 FROM unnest(%s::text[]) AS new (host) ORDER BY host COLLATE "C"
ON CONFLICT (host) DO NOTHING;

-- name: lock_turns
SELECT host, holder, until, not_before FROM turns WHERE host = ANY (%s::text[])
ORDER BY host FOR UPDATE;

-- name: update_turns
UPDATE turns SET holder = new.holder, until = new.until, not_before = new.not_before
FROM unnest(%s::text[], %s::text[], %s::float8[], %s::float8[])
    AS new (host, holder, until, not_before)
WHERE turns.host = new.host;

-- name: select_waiters
SELECT host, holder, since, seen FROM waiters WHERE host = ANY (%s::text[]);

-- name: upsert_waiters
INSERT INTO waiters (host, holder, since, seen)
SELECT * FROM unnest(%s::text[], %s::text[], %s::float8[], %s::float8[])
ON CONFLICT (host, holder) DO UPDATE SET since = excluded.since, seen = excluded.seen;

-- name: delete_waiters
DELETE FROM waiters USING unnest(%s::text[], %s::text[]) AS gone (host, holder)
WHERE waiters.host = gone.host AND waiters.holder = gone.holder;
