-- 0004: how far the schema is, apart from who can use it.
-- Programs that know schema 2 can use it.

-- user_version is the oldest schema whose programs can use this one, reached how far it is (0: as far
-- as user_version says).
ALTER TABLE store ADD COLUMN reached INTEGER NOT NULL DEFAULT 0;
