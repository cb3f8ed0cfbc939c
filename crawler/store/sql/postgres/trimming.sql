-- What is not kept of resources that live: old runs, the pages of less old ones, old events. Each
-- statement concerns at most so many rows.

-- name: select_old_runs
-- Those of which something is to go, the latest being in place 1; never one that goes on, whose items
-- some sink has yet to get, or on which one builds that goes on or the next one would.
SELECT id, place FROM (
    SELECT id, finished, kept, trimming, recipe, row_number() OVER (ORDER BY run DESC) AS place
    FROM runs WHERE resource_id = %(resource_id)s
) AS old
WHERE place > 1 AND finished <> '' AND (
    (place > %(pages)s AND (kept = 'all' OR trimming))
    OR (place > %(runs)s AND (kept <> 'none' OR trimming))
    OR place > %(known)s
) AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.run_id = old.id AND behind) AND NOT EXISTS (
    SELECT 1 FROM runs AS heir
    WHERE heir.resource_id = %(resource_id)s AND heir.base = old.id AND heir.finished = ''
) AND (coalesce(recipe, '') = '' OR id <> (
    SELECT base.id FROM runs AS base
    WHERE base.resource_id = %(resource_id)s AND base.recipe IS NOT NULL AND base.kept = 'all'
    ORDER BY base.run DESC LIMIT 1
))
LIMIT %(limit)s;

-- name: mark_run
UPDATE runs SET kept = %(kept)s, trimming = %(trimming)s WHERE id = %(run_id)s;

-- name: forget_run
DELETE FROM runs WHERE id = %s;

-- name: keep_urls
-- Items of the pages that go next keep the URL.
UPDATE items SET url = (
    SELECT pages.url FROM pages
    WHERE pages.run_id = items.run_id AND pages.fingerprint = items.fingerprint
)
WHERE seq = ANY (ARRAY(
    SELECT held.seq FROM (
        SELECT run_id, fingerprint FROM pages
        WHERE run_id = %(key)s ORDER BY fingerprint LIMIT %(limit)s
    ) AS gone CROSS JOIN LATERAL (
        SELECT seq FROM items
        WHERE items.run_id = gone.run_id AND items.fingerprint = gone.fingerprint
        OFFSET 0
    ) AS held
));

-- name: select_old_event
-- The newest of those that are not kept.
SELECT seq FROM events WHERE resource_id = %(resource_id)s
ORDER BY seq DESC LIMIT 1 OFFSET %(events)s;

-- name: trim_events
DELETE FROM events WHERE seq = ANY (ARRAY(
    SELECT seq FROM events WHERE resource_id = %(resource_id)s AND seq <= %(newest)s
    ORDER BY seq LIMIT %(limit)s
));
