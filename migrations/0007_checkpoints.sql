-- What is known of a task's checkpoints. Their files are kept beside the database. A home that has
-- checkpoints of before this table gets their rows by `armor recover`.
CREATE TABLE checkpoints (
    id          TEXT PRIMARY KEY NOT NULL,
    task_id     TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    name        TEXT,
    cause       TEXT NOT NULL,
    parent      TEXT,
    created_at  INTEGER NOT NULL,
    files       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    bytes_added INTEGER NOT NULL,
    left_out    INTEGER NOT NULL,
    pinned      INTEGER NOT NULL CHECK (pinned IN (0, 1)),
    UNIQUE (task_id, name)
) STRICT;

CREATE INDEX checkpoints_by_task ON checkpoints (task_id, created_at);
