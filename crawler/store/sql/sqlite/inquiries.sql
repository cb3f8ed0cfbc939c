-- What people ask of single pages and items.

-- name: select_way
-- The page that is asked for, then those that led to it.
WITH RECURSIVE way (step, seq, parent) AS (
    SELECT 0, seq, parent FROM pages WHERE run_id = :run_id AND fingerprint = :fingerprint
    UNION ALL
    SELECT step + 1, pages.seq, pages.parent
    FROM way JOIN pages ON pages.run_id = :run_id AND pages.fingerprint = way.parent
    WHERE step < 50
)
SELECT seq FROM way ORDER BY step;

-- name: select_facts
SELECT method, final_url, not_before FROM pages WHERE seq = ?;

-- name: list_attempts
SELECT at, state, status, reason, elapsed_s, node FROM attempts
WHERE run_id = ? AND fingerprint = ? ORDER BY seq;

-- name: list_found
SELECT url FROM pages WHERE run_id = ? AND parent = ? ORDER BY seq LIMIT 100;

-- name: list_page_items
SELECT seq, '', rule, ordinal, definition_revision, fields, missing, stored_at FROM items
WHERE run_id = ? AND fingerprint = ? ORDER BY ordinal LIMIT 100;

-- name: list_visits
SELECT runs.run, state, status, reason, attempts, fetched_at
FROM (
    SELECT id, run FROM runs WHERE resource_id = ? AND kept = 'all' ORDER BY run DESC LIMIT 100
) AS runs
JOIN pages ON pages.run_id = runs.id AND pages.fingerprint = ?
ORDER BY runs.run DESC;

-- name: count_reasons
-- Of very many pages that ended so, the first are looked at.
SELECT state, status, reason, count(*)
FROM (
    SELECT * FROM (
        SELECT state, status, reason FROM pages
        WHERE run_id = :run_id AND state = 'failed' LIMIT :scan
    )
    UNION ALL
    SELECT * FROM (
        SELECT state, status, reason FROM pages
        WHERE run_id = :run_id AND state = 'excluded' LIMIT :scan
    )
)
GROUP BY state, status, reason ORDER BY count(*) DESC, reason LIMIT 200;

-- name: match_pages
SELECT seq FROM pages
WHERE seq IN (SELECT value FROM json_each(:seqs))
    AND (url LIKE :text ESCAPE '\' OR reason LIKE :text ESCAPE '\')
ORDER BY seq LIMIT :limit;

-- name: match_items
SELECT seq, fields LIKE :text ESCAPE '\' FROM (
    SELECT seq, fields FROM items WHERE run_id = :run_id AND seq > :after ORDER BY seq LIMIT :scan
) ORDER BY seq;

-- name: select_item
SELECT items.seq, coalesce(items.url, pages.url, ''), items.rule, ordinal, definition_revision,
    fields, missing, stored_at
FROM items
LEFT JOIN pages ON pages.run_id = items.run_id AND pages.fingerprint = items.fingerprint
WHERE items.seq = ?;

-- name: list_scheduled
SELECT resources.id, definition
FROM json_each(?) AS wanted JOIN resources ON resources.id = wanted.value
WHERE definition LIKE '%"schedule"%';

-- name: list_tasks
SELECT id, name, definition FROM resources
WHERE (:before = '' OR id < :before) AND NOT buried AND definition LIKE '%"task"%'
ORDER BY id DESC LIMIT :limit;

-- name: sum_latest_runs
SELECT coalesce(sum(known), 0), coalesce(sum(done), 0), coalesce(sum(failed), 0),
    coalesce(sum(excluded), 0), coalesce(sum(items), 0), coalesce(sum(incomplete_items), 0),
    coalesce(sum(fetched_bytes), 0)
FROM resources
JOIN runs ON runs.resource_id = resources.id
    AND runs.run = (SELECT max(run) FROM runs AS newer WHERE newer.resource_id = resources.id)
JOIN counters ON counters.run_id = runs.id
WHERE NOT buried;

-- name: list_failing
SELECT name, sum(failed), sum(known)
FROM resources
JOIN runs ON runs.resource_id = resources.id
    AND runs.run = (SELECT max(run) FROM runs AS newer WHERE newer.resource_id = resources.id)
JOIN counters ON counters.run_id = runs.id
WHERE NOT buried AND failed > 0
GROUP BY resources.id ORDER BY sum(failed) DESC, name LIMIT ?;
