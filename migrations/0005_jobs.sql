-- Work in the background. A row goes when its job is done; a job that failed too often stays.
CREATE TABLE jobs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    priority   INTEGER NOT NULL,
    payload    TEXT NOT NULL CHECK (json_valid(payload)),
    cause      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    status     TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'running', 'dead')),
    -- When it may be taken up: a running one, when its worker's time has run out.
    due_at     INTEGER NOT NULL,
    owner      TEXT,
    token      INTEGER NOT NULL DEFAULT 0,
    tries      INTEGER NOT NULL DEFAULT 0,
    strikes    INTEGER NOT NULL DEFAULT 0,
    error      TEXT,
    UNIQUE (kind, cause),
    CHECK ((status = 'running') = (owner IS NOT NULL))
) STRICT;

CREATE INDEX jobs_by_key ON jobs (key, id) WHERE status <> 'dead';
CREATE INDEX jobs_by_priority ON jobs (priority DESC, id) WHERE status <> 'dead';
