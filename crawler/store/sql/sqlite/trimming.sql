-- What is not kept of resources that live: old runs, the pages of less old ones, old events. Each
-- statement concerns at most so many rows.

-- name: select_old_runs
-- Those of which something is to go, the latest being in place 1; never one that goes on, whose items
-- some sink has yet to get, or on which one builds that goes on or the next one would.
SELECT id, place FROM (
    SELECT id, finished, kept, trimming, recipe, row_number() OVER (ORDER BY run DESC) AS place
    FROM runs WHERE resource_id = :resource_id
) AS old
WHERE place > 1 AND finished <> '' AND (
    (place > :pages AND (kept = 'all' OR trimming = 1))
    OR (place > :runs AND (kept <> 'none' OR trimming = 1))
    OR place > :known
) AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.run_id = old.id AND +behind = 1) AND NOT EXISTS (
    SELECT 1 FROM runs AS heir
    WHERE heir.resource_id = :resource_id AND heir.base = old.id AND heir.finished = ''
) AND (coalesce(recipe, '') = '' OR id <> (
    SELECT base.id FROM runs AS base
    WHERE base.resource_id = :resource_id AND base.recipe IS NOT NULL AND base.kept = 'all'
    ORDER BY base.run DESC LIMIT 1
))
LIMIT :limit;

-- name: mark_run
UPDATE runs SET kept = :kept, trimming = :trimming WHERE id = :run_id;

-- name: forget_run
DELETE FROM runs WHERE id = ?;

-- name: keep_urls
-- Items of the pages that go next keep the URL.
UPDATE items SET url = (
    SELECT pages.url FROM pages
    WHERE pages.run_id = items.run_id AND pages.fingerprint = items.fingerprint
)
WHERE seq IN (
    SELECT held.seq FROM (
        SELECT run_id, fingerprint FROM pages WHERE run_id = ? ORDER BY fingerprint LIMIT ?
    ) AS gone CROSS JOIN items AS held INDEXED BY items_key
        ON held.run_id = gone.run_id AND held.fingerprint = gone.fingerprint
);

-- name: select_old_event
-- The newest of those that are not kept.
SELECT seq FROM events WHERE resource_id = :resource_id
ORDER BY seq DESC LIMIT 1 OFFSET :events;

-- name: trim_events
DELETE FROM events WHERE seq IN (
    SELECT seq FROM events WHERE resource_id = :resource_id AND seq <= :newest
    ORDER BY seq LIMIT :limit
);
