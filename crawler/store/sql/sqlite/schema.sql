-- The whole schema, as a new database gets it. tests/unit/store compares it with the migrations.

-- One row: who this database is, and how far its schema is (0: as far as user_version says, which is
-- the oldest schema whose programs can use this one).
CREATE TABLE store (
    id TEXT NOT NULL,
    reached INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Each incarnation of etcd in the order of its appearance, with the highest revision seen of it.
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    cluster TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL
) STRICT;

-- At most one row: the process of the master that last opened an epoch.
CREATE TABLE leaders (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    pid INTEGER NOT NULL,
    started INTEGER NOT NULL,
    boot TEXT NOT NULL
) STRICT;

-- The mirror of what etcd holds. A buried row is the tombstone of its ID.
CREATE TABLE resources (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    definition TEXT,
    desired TEXT NOT NULL,
    run INTEGER NOT NULL,
    due INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL DEFAULT 0,
    buried INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Who may write for a part: the token (epoch, revision) and the claim drawn under it.
-- Not open: the token was raised by a fence, and only a higher one may claim.
CREATE TABLE fences (
    resource_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    open INTEGER NOT NULL,
    node TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started INTEGER NOT NULL,
    boot TEXT NOT NULL,
    PRIMARY KEY (resource_id, part)
) STRICT, WITHOUT ROWID;

-- runs.id stands for (resource ID, run) in the keys of the large tables. due_at is the due time that
-- began it (0: none did). kept: 'all'; 'items', the pages being gone; 'none', and the row says no more
-- than that it was. trimming: some of what is not kept is still there. recipe is what its pages are
-- read by ('': by several, or nobody is to build on it; NULL: it was cut short, or nothing could be
-- had), base the run that it builds on.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    resource_id TEXT NOT NULL,
    run INTEGER NOT NULL,
    seeded INTEGER NOT NULL DEFAULT 0,
    finished TEXT NOT NULL DEFAULT '',
    due_at INTEGER NOT NULL DEFAULT 0,
    started_at REAL NOT NULL DEFAULT 0,
    finished_at REAL NOT NULL DEFAULT 0,
    kept TEXT NOT NULL DEFAULT 'all',
    trimming INTEGER NOT NULL DEFAULT 0,
    recipe TEXT,
    base INTEGER,
    UNIQUE (resource_id, run)
) STRICT;

-- A due time has one run, whatever its number.
CREATE UNIQUE INDEX runs_due ON runs (resource_id, due_at) WHERE due_at > 0;

-- What each part added to the run's counters; the totals are sums. kept are those of items that
-- were taken over. swept is the last page of the base that was looked at when the rest of it was
-- taken over (NULL: nothing is left to look at).
CREATE TABLE counters (
    run_id INTEGER NOT NULL,
    part INTEGER NOT NULL,
    known INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    excluded INTEGER NOT NULL DEFAULT 0,
    items INTEGER NOT NULL DEFAULT 0,
    incomplete_items INTEGER NOT NULL DEFAULT 0,
    fetched_bytes INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 0,
    swept BLOB,
    PRIMARY KEY (run_id, part)
) STRICT, WITHOUT ROWID;

-- Every URL of every run; seq is the order in which they were found.
-- not_before is 0 for what is due; a row that waits is set to 0 when its time has come.
-- parent is the page that it was found on; empty: it was found in the base only. A bound row means
-- nothing to a later run. digest (NULL: it cannot be compared), etag, last_modified, interval_s and
-- due_at tell a later run whether and how to ask for the page again.
CREATE TABLE pages (
    seq INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    part INTEGER NOT NULL,
    state TEXT NOT NULL,
    host TEXT NOT NULL,
    depth INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    not_before REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    strikes INTEGER NOT NULL DEFAULT 0,
    status INTEGER NOT NULL DEFAULT 0,
    url TEXT NOT NULL,
    method TEXT NOT NULL,
    body BLOB,
    rule TEXT,
    carry TEXT,
    parent BLOB,
    reason TEXT NOT NULL DEFAULT '',
    matched_rule TEXT NOT NULL DEFAULT '',
    final_url TEXT NOT NULL DEFAULT '',
    content_type TEXT NOT NULL DEFAULT '',
    size_bytes INTEGER NOT NULL DEFAULT 0,
    elapsed_s REAL NOT NULL DEFAULT 0,
    fetched_at REAL NOT NULL DEFAULT 0,
    bound INTEGER NOT NULL DEFAULT 0,
    digest BLOB,
    etag TEXT NOT NULL DEFAULT '',
    last_modified TEXT NOT NULL DEFAULT '',
    interval_s REAL NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX pages_key ON pages (run_id, fingerprint);
CREATE INDEX pages_parent ON pages (run_id, parent) WHERE parent IS NOT NULL;
CREATE INDEX pages_state ON pages (run_id, state);
CREATE INDEX pages_status ON pages (run_id, status) WHERE status <> 0;
CREATE INDEX pages_due ON pages (run_id, part, host, priority DESC, seq)
    WHERE state = 'pending' AND not_before = 0;
CREATE INDEX pages_waiting ON pages (run_id, part, not_before)
    WHERE state = 'pending' AND not_before > 0;
-- The other way to say it keeps planners from taking pages_waiting, and sorting.
CREATE INDEX pages_waiting_since ON pages (run_id, part, fetched_at)
    WHERE state = 'pending' AND not_before <> 0;

-- url is that of the page, once its row is gone. kept: taken over from the run before, so that no sink
-- gets it again.
CREATE TABLE items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    rule TEXT NOT NULL,
    definition_revision INTEGER NOT NULL,
    fields TEXT NOT NULL,
    missing TEXT,
    stored_at REAL NOT NULL,
    url TEXT,
    kept INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX items_key ON items (run_id, fingerprint, ordinal);
CREATE INDEX items_run ON items (run_id);

-- The outbox: how far each sink of a run has got with the run's items, which are what is to be sent;
-- their seq rises in the order of the commits. Behind: items may lie beyond seq; a commit of items
-- says so. Who sends them holds a lease, of which each has its own number; until and due (not
-- before) are by the store's clock; if it steps, a lease ends early or late, and its number decides.
CREATE TABLE outbox (
    run_id INTEGER NOT NULL,
    sink TEXT NOT NULL,
    behind INTEGER NOT NULL,
    seq INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    delivered_at REAL NOT NULL DEFAULT 0,
    lease INTEGER NOT NULL DEFAULT 0,
    holder TEXT NOT NULL DEFAULT '',
    until REAL NOT NULL DEFAULT 0,
    due REAL NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    trouble TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (run_id, sink)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_behind ON outbox (behind, due, run_id, sink) WHERE behind = 1;

-- Attempts at pages that were not the last word on them, or the last of those given up; what went
-- well stands in the page's own row. state is what the page was after it. Of one page the latest are
-- kept.
CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    at REAL NOT NULL,
    state TEXT NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT NOT NULL,
    elapsed_s REAL NOT NULL,
    node TEXT NOT NULL
) STRICT;

CREATE INDEX attempts_page ON attempts (run_id, fingerprint);

-- request_id is of the request that the event goes back to ('': of none).
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    resource_id TEXT NOT NULL,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    node TEXT NOT NULL,
    request_id TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX events_resource ON events (resource_id);

-- Whose turn it is on a host (holder '': nobody's), and when its next request may start.
CREATE TABLE turns (
    host TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until REAL NOT NULL,
    not_before REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE waiters (
    host TEXT NOT NULL,
    holder TEXT NOT NULL,
    since REAL NOT NULL,
    seen REAL NOT NULL,
    PRIMARY KEY (host, holder)
) STRICT, WITHOUT ROWID;

-- Answers to requests with an Idempotency-Key, so that the same request gets the same answer from
-- whichever master. digest is that of the request, plan what was decided before it was carried out;
-- status 0: no definite answer is known yet.
CREATE TABLE answers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    plan TEXT NOT NULL,
    status INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL DEFAULT '',
    at REAL NOT NULL
) STRICT;
