-- What people read of a resource, most of it of its latest run.

-- name: select_run_id
SELECT id, kept FROM runs WHERE resource_id = :resource_id AND (:run IS NULL OR run = :run)
ORDER BY run DESC LIMIT 1;

-- name: select_runs_progress
SELECT run, sum(known), sum(done), sum(failed), sum(excluded), sum(items), sum(incomplete_items),
    sum(fetched_bytes), seeded, finished, sum(unchanged), due_at, started_at, finished_at
FROM (
    SELECT * FROM runs WHERE resource_id = ? AND kept <> 'none' ORDER BY run DESC LIMIT 1000
) AS runs
JOIN counters ON counters.run_id = runs.id
GROUP BY runs.id ORDER BY run;

-- name: select_due_runs
SELECT wanted.key, coalesce((
    SELECT run FROM runs
    WHERE resource_id = wanted.key AND due_at = wanted.value AND due_at > 0
), 0), coalesce((SELECT max(run) FROM runs WHERE resource_id = wanted.key), 0)
FROM json_each(?) AS wanted;

-- name: select_latest_progress
SELECT resource_id, run, sum(known), sum(done), sum(failed), sum(excluded), sum(items),
    sum(incomplete_items), sum(fetched_bytes), seeded, finished, sum(unchanged)
FROM json_each(:ids) AS wanted
JOIN runs ON runs.resource_id = wanted.value
    AND run = (SELECT max(run) FROM runs AS newer WHERE newer.resource_id = wanted.value)
JOIN counters ON counters.run_id = runs.id
GROUP BY runs.id;

-- name: list_pages
-- The four states are merged in the order of seq, each read from its end of the index.
SELECT seq FROM pages WHERE run_id = :run_id AND state = 'pending' AND seq > :after
UNION ALL
SELECT seq FROM pages WHERE run_id = :run_id AND state = 'done' AND seq > :after
UNION ALL
SELECT seq FROM pages WHERE run_id = :run_id AND state = 'failed' AND seq > :after
UNION ALL
SELECT seq FROM pages WHERE run_id = :run_id AND state = 'excluded' AND seq > :after
ORDER BY seq LIMIT :limit;

-- name: list_pages_of_state
SELECT seq FROM pages WHERE run_id = :run_id AND state = :state AND seq > :after
ORDER BY seq LIMIT :limit;

-- name: list_pages_of_status
SELECT seq FROM pages
WHERE run_id = :run_id AND status = :status AND status <> 0 AND seq > :after
ORDER BY seq LIMIT :limit;

-- name: list_pages_of_state_and_status
SELECT seq FROM pages
WHERE run_id = :run_id AND status = :status AND status <> 0 AND +state = :state AND seq > :after
ORDER BY seq LIMIT :limit;

-- name: select_page
SELECT page.url, page.state, page.reason, page.status, page.attempts, page.depth, page.priority,
    page.host, coalesce(nullif(page.matched_rule, ''), page.rule, ''), page.content_type,
    page.size_bytes, page.elapsed_s, coalesce(finder.url, ''), page.fetched_at,
    lower(hex(page.fingerprint))
FROM pages AS page
LEFT JOIN pages AS finder ON finder.run_id = page.run_id AND finder.fingerprint = page.parent
WHERE page.seq = ?;

-- name: list_items
SELECT items.seq, coalesce(items.url, pages.url, ''), items.rule, ordinal, definition_revision,
    fields, missing, stored_at
FROM items
LEFT JOIN pages ON pages.run_id = items.run_id AND pages.fingerprint = items.fingerprint
WHERE items.run_id = :run_id AND items.seq > :after AND items.seq <= :until
ORDER BY items.seq LIMIT :limit;

-- name: select_extents
SELECT run, coalesce((SELECT max(seq) FROM items WHERE items.run_id = runs.id), 0)
FROM runs WHERE resource_id = ? AND kept <> 'none' ORDER BY run DESC LIMIT 1000;

-- name: list_events
SELECT seq, at, kind, detail, node, request_id FROM events
WHERE resource_id = :resource_id AND seq > :after
ORDER BY seq LIMIT :limit;

-- name: count_kinds
-- What pages came to, kind by kind; see `crawler.store.stats`.
SELECT state, status, CASE WHEN state IN ('failed', 'excluded') THEN reason ELSE '' END AS why,
    count(*),
    sum(CASE WHEN state = 'pending' THEN attempts WHEN attempts > 1 THEN attempts - 1 ELSE 0 END),
    max(depth)
FROM pages WHERE run_id = :run_id GROUP BY state, status, why ORDER BY count(*) DESC LIMIT :limit;

-- name: list_journal
SELECT seq, at, kind, detail, node, resource_id, coalesce(resources.name, ''), request_id
FROM events
LEFT JOIN resources ON resources.id = resource_id
WHERE seq < :before AND NOT coalesce(buried = 1, false)
ORDER BY seq DESC LIMIT :limit;
