-- Turns on hosts.

-- name: select_turn
SELECT holder, until, not_before FROM turns WHERE host = ?;

-- name: upsert_turn
INSERT INTO turns (host, holder, until, not_before) VALUES (?, ?, ?, ?)
ON CONFLICT (host) DO UPDATE SET
    holder = excluded.holder, until = excluded.until, not_before = excluded.not_before;

-- name: select_waiters
SELECT holder, since, seen FROM waiters WHERE host = ?;

-- name: upsert_waiter
INSERT INTO waiters (host, holder, since, seen) VALUES (?, ?, ?, ?)
ON CONFLICT (host, holder) DO UPDATE SET since = excluded.since, seen = excluded.seen;

-- name: delete_waiter
DELETE FROM waiters WHERE host = ? AND holder = ?;
