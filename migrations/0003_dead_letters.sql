-- Events that a consumer could not deal with after several tries, kept until somebody looks.
CREATE TABLE dead_letters (
    consumer TEXT NOT NULL,
    seq      INTEGER NOT NULL REFERENCES events (seq),
    reason   TEXT NOT NULL,
    tries    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (consumer, seq)
) STRICT, WITHOUT ROWID;
