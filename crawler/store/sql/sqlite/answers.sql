-- Answers that are kept for requests which may come again.

-- name: insert_answer
INSERT INTO answers (key, digest, plan, at) VALUES (:key, :digest, :plan, :now)
ON CONFLICT (key) DO NOTHING;

-- name: select_answer
SELECT digest, plan, status, body FROM answers WHERE key = :key;

-- name: update_answer
-- The first definite answer stays.
UPDATE answers SET status = :status, body = :body
WHERE key = :key AND digest = :digest AND status = 0;

-- name: prune_answers
-- They were asked for in the order of seq.
DELETE FROM answers WHERE seq IN (
    SELECT seq FROM (SELECT seq, at FROM answers ORDER BY seq LIMIT :limit) AS oldest
    WHERE at < :expired OR seq <= (SELECT max(seq) FROM answers) - :most
);
