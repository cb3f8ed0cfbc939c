-- Answers that are kept for requests which may come again.

-- name: insert_answer
INSERT INTO answers (key, digest, plan, at) VALUES (%(key)s, %(digest)s, %(plan)s, %(now)s)
ON CONFLICT (key) DO NOTHING;

-- name: select_answer
SELECT digest, plan, status, body FROM answers WHERE key = %(key)s;

-- name: update_answer
-- The first definite answer stays.
UPDATE answers SET status = %(status)s, body = %(body)s
WHERE key = %(key)s AND digest = %(digest)s AND status = 0;

-- name: prune_answers
-- They were asked for in the order of seq.
DELETE FROM answers WHERE seq IN (
    SELECT seq FROM (SELECT seq, at FROM answers ORDER BY seq LIMIT %(limit)s) AS oldest
    WHERE at < %(expired)s OR seq <= (SELECT max(seq) FROM answers) - %(most)s
);
