-- Failed pages that are tried again.

-- name: select_failed
-- Those of which an item was stored are left: what is joined goes out once, as far as it went.
SELECT seq FROM pages
WHERE run_id = (
    SELECT id FROM runs WHERE resource_id = %(resource_id)s AND run = %(run)s
) AND state = 'failed' AND seq > %(after)s AND seq > 0
    AND status BETWEEN %(lowest)s AND %(highest)s AND strpos(reason, %(reason)s) > 0
    AND NOT EXISTS (
        SELECT 1 FROM items
        WHERE items.run_id = pages.run_id AND items.fingerprint = pages.fingerprint
    )
ORDER BY seq LIMIT %(limit)s;

-- name: select_last_run
SELECT id, run, finished FROM runs WHERE resource_id = %s ORDER BY run DESC LIMIT 1;

-- name: retry_pages
-- As they were found.
WITH again AS (
    UPDATE pages SET state = 'pending', reason = '', not_before = 0, attempts = 0, strikes = 0,
        status = 0, matched_rule = '', final_url = '', content_type = '', size_bytes = 0,
        elapsed_s = 0, fetched_at = 0
    WHERE seq = ANY (%(pages)s::bigint[]) AND run_id = %(run_id)s AND state = 'failed'
    RETURNING part
)
SELECT part, count(*) FROM again GROUP BY part ORDER BY part;

-- name: reopen_run
-- What it was built on may be gone.
UPDATE runs SET finished = '', finished_at = 0, base = NULL WHERE id = %s AND finished <> '';

-- name: uncount_failed
UPDATE counters SET failed = failed - %(count)s WHERE run_id = %(run_id)s AND part = %(part)s;
