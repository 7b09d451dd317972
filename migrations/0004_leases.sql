-- Leases: who may do something until when, across processes. A row stays when its lease is given
-- up, so that tokens rise for as long as the home lives.
CREATE TABLE leases (
    name       TEXT PRIMARY KEY NOT NULL,
    owner      TEXT NOT NULL,
    token      INTEGER NOT NULL CHECK (token > 0),
    taken_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
