-- What people read of a resource, most of it of its latest run.

-- name: select_run_id
SELECT id, kept FROM runs
WHERE resource_id = %(resource_id)s AND (%(run)s::bigint IS NULL OR run = %(run)s)
ORDER BY run DESC LIMIT 1;

-- name: select_runs_progress
SELECT run, sum(known)::bigint, sum(done)::bigint, sum(failed)::bigint, sum(excluded)::bigint,
    sum(items)::bigint, sum(incomplete_items)::bigint, sum(fetched_bytes)::bigint, seeded, finished,
    sum(unchanged)::bigint, due_at, started_at, finished_at
FROM (
    SELECT * FROM runs WHERE resource_id = %s AND kept <> 'none' ORDER BY run DESC LIMIT 1000
) AS runs
JOIN counters ON counters.run_id = runs.id
GROUP BY runs.id, run, seeded, finished, due_at, started_at, finished_at ORDER BY run;

-- name: select_due_runs
SELECT wanted.id, coalesce((
    SELECT run FROM runs WHERE resource_id = wanted.id AND due_at = wanted.due AND due_at > 0
), 0), coalesce((SELECT max(run) FROM runs WHERE resource_id = wanted.id), 0)
FROM unnest(%s::text[], %s::bigint[]) AS wanted (id, due);

-- name: select_latest_progress
SELECT runs.resource_id, runs.run, sum(known)::bigint, sum(done)::bigint, sum(failed)::bigint,
    sum(excluded)::bigint, sum(items)::bigint, sum(incomplete_items)::bigint,
    sum(fetched_bytes)::bigint, seeded, finished, sum(unchanged)::bigint
FROM unnest(%s::text[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT * FROM runs WHERE resource_id = wanted.id ORDER BY run DESC LIMIT 1
) AS runs
JOIN counters ON counters.run_id = runs.id
GROUP BY runs.id, runs.resource_id, runs.run, seeded, finished;

-- name: list_pages
-- The four states are merged in the order of seq, each read from its end of the index.
(SELECT seq FROM pages
    WHERE run_id = %(run_id)s AND state = 'pending' AND seq > %(after)s AND seq > 0
    ORDER BY seq LIMIT %(limit)s)
UNION ALL
(SELECT seq FROM pages
    WHERE run_id = %(run_id)s AND state = 'done' AND seq > %(after)s AND seq > 0
    ORDER BY seq LIMIT %(limit)s)
UNION ALL
(SELECT seq FROM pages
    WHERE run_id = %(run_id)s AND state = 'failed' AND seq > %(after)s AND seq > 0
    ORDER BY seq LIMIT %(limit)s)
UNION ALL
(SELECT seq FROM pages
    WHERE run_id = %(run_id)s AND state = 'excluded' AND seq > %(after)s AND seq > 0
    ORDER BY seq LIMIT %(limit)s)
ORDER BY seq LIMIT %(limit)s;

-- name: list_pages_of_state
SELECT seq FROM pages
WHERE run_id = %(run_id)s AND state = %(state)s AND seq > %(after)s AND seq > 0
ORDER BY seq LIMIT %(limit)s;

-- name: list_pages_of_status
(SELECT seq FROM pages
    WHERE run_id = %(run_id)s AND state = 'pending' AND status = %(status)s AND status <> 0
        AND seq > %(after)s
    ORDER BY seq LIMIT %(limit)s)
UNION ALL
(SELECT seq FROM pages
    WHERE run_id = %(run_id)s AND state = 'done' AND status = %(status)s AND status <> 0
        AND seq > %(after)s
    ORDER BY seq LIMIT %(limit)s)
UNION ALL
(SELECT seq FROM pages
    WHERE run_id = %(run_id)s AND state = 'failed' AND status = %(status)s AND status <> 0
        AND seq > %(after)s
    ORDER BY seq LIMIT %(limit)s)
UNION ALL
(SELECT seq FROM pages
    WHERE run_id = %(run_id)s AND state = 'excluded' AND status = %(status)s AND status <> 0
        AND seq > %(after)s
    ORDER BY seq LIMIT %(limit)s)
ORDER BY seq LIMIT %(limit)s;

-- name: list_pages_of_state_and_status
SELECT seq FROM pages
WHERE run_id = %(run_id)s AND state = %(state)s AND status = %(status)s AND status <> 0
    AND seq > %(after)s
ORDER BY seq LIMIT %(limit)s;

-- name: select_pages
SELECT page.url, page.state, page.reason, page.status, page.attempts, page.depth, page.priority,
    page.host, coalesce(nullif(page.matched_rule, ''), page.rule, ''), page.content_type,
    page.size_bytes, page.elapsed_s, coalesce(finder.url, ''), page.fetched_at,
    encode(page.fingerprint, 'hex')
FROM pages AS page
LEFT JOIN pages AS finder ON finder.run_id = page.run_id AND finder.fingerprint = page.parent
WHERE page.seq = ANY (%s::bigint[])
ORDER BY page.seq;

-- name: list_items
SELECT items.seq, coalesce(items.url, pages.url, ''), items.rule, ordinal, definition_revision, fields::text,
    missing::text, stored_at
FROM (
    SELECT * FROM items
    WHERE run_id = %(run_id)s AND seq > %(after)s AND seq <= %(until)s AND seq > 0
    ORDER BY seq LIMIT %(limit)s
) AS items
LEFT JOIN pages ON pages.run_id = items.run_id AND pages.fingerprint = items.fingerprint
ORDER BY items.seq;

-- name: select_extents
SELECT run, coalesce((
    SELECT seq FROM items WHERE items.run_id = runs.id AND seq > 0 ORDER BY seq DESC LIMIT 1
), 0)
FROM runs WHERE resource_id = %s AND kept <> 'none' ORDER BY run DESC LIMIT 1000;

-- name: list_events
SELECT seq, at, kind, detail, node, request_id FROM events
WHERE resource_id = %(resource_id)s AND seq > %(after)s
ORDER BY seq LIMIT %(limit)s;

-- name: count_kinds
-- What pages came to, kind by kind; see `crawler.store.stats`.
SELECT state, status, CASE WHEN state IN ('failed', 'excluded') THEN reason ELSE '' END AS why,
    count(*)::bigint,
    sum(CASE WHEN state = 'pending' THEN attempts WHEN attempts > 1 THEN attempts - 1 ELSE 0 END)::bigint,
    max(depth)
FROM pages WHERE run_id = %(run_id)s GROUP BY state, status, why ORDER BY count(*) DESC LIMIT %(limit)s;

-- name: list_journal
SELECT seq, at, kind, detail, node, resource_id, coalesce(resources.name, ''), request_id
FROM events
LEFT JOIN resources ON resources.id = resource_id
WHERE seq < %(before)s AND NOT coalesce(buried, false)
ORDER BY seq DESC LIMIT %(limit)s;
