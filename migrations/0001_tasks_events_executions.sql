-- The first schema. Times are microseconds since 1970-01-01T00:00:00Z.

-- Facts about this home, such as its id.
CREATE TABLE home (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL,
    status      TEXT NOT NULL
                CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    owner       TEXT NOT NULL,
    metadata    TEXT NOT NULL CHECK (json_type(metadata) = 'object'),
    sandbox     TEXT NOT NULL CHECK (json_type(sandbox) = 'object'),
    repository  TEXT CHECK (json_type(repository) = 'object'),
    agent       TEXT,
    outcome     TEXT CHECK (json_type(outcome) = 'object'),
    retries     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER,
    version     INTEGER NOT NULL CHECK (version > 0)
) STRICT;

-- Each with the id behind it, because lists are paged by id.
CREATE INDEX tasks_by_status ON tasks (status, id);
CREATE INDEX tasks_by_owner ON tasks (owner, id);
CREATE INDEX tasks_by_name ON tasks (name, id);
CREATE INDEX tasks_by_created_at ON tasks (created_at);

-- A change by the program counts the version up and says when. Any other change, such as one by
-- hand, is given the present moment.
CREATE TRIGGER tasks_keep_updated_at AFTER UPDATE ON tasks
WHEN NEW.updated_at = OLD.updated_at AND NEW.version = OLD.version
BEGIN
    UPDATE tasks SET updated_at = CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)
    WHERE id = NEW.id;
END;

-- The log. A task's events outlive the task, so task_id is not a foreign key.
CREATE TABLE events (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    task_id         TEXT NOT NULL,
    task_seq        INTEGER NOT NULL CHECK (task_seq > 0),
    at              INTEGER NOT NULL,
    name            TEXT NOT NULL,
    payload_version INTEGER NOT NULL,
    payload         TEXT NOT NULL CHECK (json_valid(payload)),
    UNIQUE (task_id, task_seq)
) STRICT;

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events never change');
END;

CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never removed');
END;

-- How far each consumer of the log has come.
CREATE TABLE cursors (
    consumer TEXT PRIMARY KEY NOT NULL,
    seq      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE executions (
    id           TEXT PRIMARY KEY NOT NULL,
    task_id      TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    agent        TEXT NOT NULL,
    command      TEXT NOT NULL CHECK (json_valid(command)),
    cwd          TEXT NOT NULL,
    instance     TEXT NOT NULL,
    started_at   INTEGER NOT NULL,
    status       TEXT NOT NULL CHECK (status IN
                 ('running', 'exited', 'not_started', 'timed_out', 'killed', 'interrupted')),
    exit_code    INTEGER,
    finished_at  INTEGER,
    stdout_bytes INTEGER NOT NULL DEFAULT 0,
    stderr_bytes INTEGER NOT NULL DEFAULT 0,
    CHECK ((status = 'running') = (finished_at IS NULL))
) STRICT;

CREATE INDEX executions_by_task ON executions (task_id, id);
CREATE INDEX executions_running ON executions (instance) WHERE status = 'running';
