-- What people ask of single pages and items.

-- name: select_way
-- The page that is asked for, then those that led to it.
WITH RECURSIVE way (step, seq, parent) AS (
    SELECT 0, seq, parent FROM pages
    WHERE run_id = %(run_id)s AND fingerprint = %(fingerprint)s
    UNION ALL
    SELECT step + 1, pages.seq, pages.parent
    FROM way JOIN pages ON pages.run_id = %(run_id)s AND pages.fingerprint = way.parent
    WHERE step < 50
)
SELECT seq FROM way ORDER BY step;

-- name: select_facts
SELECT method, final_url, not_before FROM pages WHERE seq = %s;

-- name: list_attempts
SELECT at, state, status, reason, elapsed_s, node FROM attempts
WHERE run_id = %s AND fingerprint = %s ORDER BY seq;

-- name: list_found
SELECT url FROM pages WHERE run_id = %s AND parent = %s ORDER BY seq LIMIT 100;

-- name: list_page_items
SELECT seq, '', rule, ordinal, definition_revision, fields::text, missing::text, stored_at
FROM items
WHERE run_id = %s AND fingerprint = %s ORDER BY ordinal LIMIT 100;

-- name: list_visits
SELECT runs.run, state, status, reason, attempts, fetched_at
FROM (
    SELECT id, run FROM runs WHERE resource_id = %s AND kept = 'all' ORDER BY run DESC LIMIT 100
) AS runs
JOIN pages ON pages.run_id = runs.id AND pages.fingerprint = %s
ORDER BY runs.run DESC;

-- name: count_reasons
-- Of very many pages that ended so, the first are looked at.
SELECT state, status, reason, count(*)
FROM (
    (SELECT state, status, reason FROM pages
        WHERE run_id = %(run_id)s AND state = 'failed' LIMIT %(scan)s)
    UNION ALL
    (SELECT state, status, reason FROM pages
        WHERE run_id = %(run_id)s AND state = 'excluded' LIMIT %(scan)s)
) AS ended
GROUP BY state, status, reason ORDER BY count(*) DESC, reason LIMIT 200;

-- name: match_pages
SELECT seq FROM pages
WHERE seq = ANY (%(seqs)s::bigint[])
    AND (url ILIKE %(text)s ESCAPE '\' OR reason ILIKE %(text)s ESCAPE '\')
ORDER BY seq LIMIT %(limit)s;

-- name: match_items
SELECT seq, fields::text ILIKE %(text)s ESCAPE '\' FROM (
    SELECT seq, fields FROM items WHERE run_id = %(run_id)s AND seq > %(after)s AND seq > 0
    ORDER BY seq LIMIT %(scan)s
) AS items ORDER BY seq;

-- name: select_items
SELECT items.seq, coalesce(items.url, pages.url, ''), items.rule, ordinal, definition_revision,
    fields::text, missing::text, stored_at
FROM items
LEFT JOIN pages ON pages.run_id = items.run_id AND pages.fingerprint = items.fingerprint
WHERE items.seq = ANY (%s::bigint[]) ORDER BY items.seq;

-- name: list_scheduled
SELECT id, definition FROM resources
WHERE id = ANY (%s::text[]) AND definition LIKE '%%"schedule"%%';

-- name: list_tasks
SELECT id, name, definition FROM resources
WHERE (%(before)s = '' OR id < %(before)s) AND NOT buried AND definition LIKE '%%"task"%%'
ORDER BY id DESC LIMIT %(limit)s;

-- name: sum_latest_runs
SELECT coalesce(sum(known), 0)::bigint, coalesce(sum(done), 0)::bigint,
    coalesce(sum(failed), 0)::bigint, coalesce(sum(excluded), 0)::bigint,
    coalesce(sum(items), 0)::bigint, coalesce(sum(incomplete_items), 0)::bigint,
    coalesce(sum(fetched_bytes), 0)::bigint
FROM resources
CROSS JOIN LATERAL (
    SELECT id FROM runs WHERE resource_id = resources.id ORDER BY run DESC LIMIT 1
) AS runs
JOIN counters ON counters.run_id = runs.id
WHERE NOT buried;

-- name: list_failing
SELECT name, sum(failed)::bigint, sum(known)::bigint
FROM resources
CROSS JOIN LATERAL (
    SELECT id FROM runs WHERE resource_id = resources.id ORDER BY run DESC LIMIT 1
) AS runs
JOIN counters ON counters.run_id = runs.id
WHERE NOT buried AND failed > 0
GROUP BY resources.id, name ORDER BY sum(failed) DESC, name LIMIT %s;
