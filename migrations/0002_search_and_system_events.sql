-- Tasks get a number, which full text search and pages go by, and the request in full; events may
-- be about the home as a whole. SQLite changes such things only by building the table anew, so
-- this runs on a connection that does not enforce foreign keys.

CREATE TABLE new_tasks (
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    request     TEXT,
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

INSERT INTO new_tasks (id, name, status, owner, metadata, sandbox, repository, agent, outcome,
    retries, created_at, updated_at, started_at, finished_at, version)
SELECT id, name, status, owner, metadata, sandbox, repository, agent, outcome,
    retries, created_at, updated_at, started_at, finished_at, version
FROM tasks ORDER BY created_at, id;

DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;

-- Pages go by the time of creation, and the number behind it, which SQLite adds to every index.
CREATE INDEX tasks_by_created_at ON tasks (created_at);
CREATE INDEX tasks_by_status ON tasks (status, created_at);
CREATE INDEX tasks_by_owner ON tasks (owner, created_at);
CREATE INDEX tasks_by_name ON tasks (name, created_at);

-- A change by the program counts the version up and says when. Any other change, such as one by
-- hand, is given the present moment.
CREATE TRIGGER tasks_keep_updated_at AFTER UPDATE ON tasks
WHEN NEW.updated_at = OLD.updated_at AND NEW.version = OLD.version
BEGIN
    UPDATE tasks SET updated_at = CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)
    WHERE number = NEW.number;
END;

-- What `find` searches. The texts stay in the tasks; what is found comes newest first, so the
-- lengths of texts, which ranking would need, are not kept.
CREATE VIRTUAL TABLE task_words USING fts5 (
    name, request, metadata,
    content = 'tasks', content_rowid = 'number',
    tokenize = 'unicode61 remove_diacritics 2', columnsize = 0
);

INSERT INTO task_words (task_words) VALUES ('rebuild');

CREATE TRIGGER task_words_of_new AFTER INSERT ON tasks
BEGIN
    INSERT INTO task_words (rowid, name, request, metadata)
    VALUES (NEW.number, NEW.name, NEW.request, NEW.metadata);
END;

CREATE TRIGGER task_words_of_changed AFTER UPDATE ON tasks
WHEN NEW.name IS NOT OLD.name OR NEW.request IS NOT OLD.request OR NEW.metadata IS NOT OLD.metadata
BEGIN
    INSERT INTO task_words (task_words, rowid, name, request, metadata)
    VALUES ('delete', OLD.number, OLD.name, OLD.request, OLD.metadata);
    INSERT INTO task_words (rowid, name, request, metadata)
    VALUES (NEW.number, NEW.name, NEW.request, NEW.metadata);
END;

CREATE TRIGGER task_words_of_deleted AFTER DELETE ON tasks
BEGIN
    INSERT INTO task_words (task_words, rowid, name, request, metadata)
    VALUES ('delete', OLD.number, OLD.name, OLD.request, OLD.metadata);
END;

-- An event is about a task, or about the home as a whole.
CREATE TABLE new_events (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    task_id         TEXT,
    task_seq        INTEGER CHECK (task_seq > 0),
    at              INTEGER NOT NULL,
    name            TEXT NOT NULL,
    payload_version INTEGER NOT NULL,
    payload         TEXT NOT NULL CHECK (json_valid(payload)),
    UNIQUE (task_id, task_seq),
    CHECK ((task_id IS NULL) = (task_seq IS NULL))
) STRICT;

INSERT INTO new_events (seq, id, task_id, task_seq, at, name, payload_version, payload)
SELECT seq, id, task_id, task_seq, at, name, payload_version, payload FROM events ORDER BY seq;

DROP TABLE events;
ALTER TABLE new_events RENAME TO events;

-- For replaying a window of time.
CREATE INDEX events_by_time ON events (at);

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events never change');
END;

CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never removed');
END;
