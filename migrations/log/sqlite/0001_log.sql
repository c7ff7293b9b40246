-- The log: every event in one total order. Positions are contiguous from 1 and in commit order:
-- SQLite has one writer at a time.

CREATE TABLE log_head (
    only_row     INTEGER NOT NULL DEFAULT 1,
    epoch        BLOB    NOT NULL,
    head         INTEGER NOT NULL DEFAULT 0,
    -- Up to where a backup of this log is known to be safe; written by whoever takes backups.
    backed_up_to INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT log_head_pk PRIMARY KEY (only_row),
    CONSTRAINT log_head_has_one_row CHECK (only_row = 1)
) STRICT;
INSERT INTO log_head (epoch) VALUES (randomblob(16));

CREATE TABLE events (
    position       INTEGER NOT NULL,
    id             BLOB    NOT NULL,
    stream         TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    type           TEXT    NOT NULL,
    aggregate_id   TEXT    NOT NULL,
    schema_version INTEGER NOT NULL,
    payload        TEXT    NOT NULL,
    occurred_at    INTEGER NOT NULL,
    correlation_id BLOB    NOT NULL,
    causation_id   BLOB,
    saga_id        BLOB,
    step           TEXT,
    service_id     TEXT    NOT NULL,
    traceparent    TEXT,
    CONSTRAINT events_pk PRIMARY KEY (position),
    CONSTRAINT events_id_unique UNIQUE (id),
    CONSTRAINT events_stream_version_unique UNIQUE (stream, version),
    CONSTRAINT events_version_from_1 CHECK (version > 0)
) STRICT;
CREATE INDEX events_by_type ON events (type, position);
CREATE INDEX events_by_correlation ON events (correlation_id, position);

CREATE TRIGGER events_never_updated BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'stored events are never changed: UPDATE on events refused');
END;
CREATE TRIGGER events_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'stored events are never changed: DELETE on events refused');
END;

-- Who forwards the log, and how far it got.
CREATE TABLE leases (
    name       TEXT    NOT NULL,
    holder     BLOB    NOT NULL,
    token      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CONSTRAINT leases_pk PRIMARY KEY (name)
) STRICT;
CREATE TABLE publisher_cursors (
    bus        TEXT    NOT NULL,
    epoch      BLOB    NOT NULL,
    position   INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CONSTRAINT publisher_cursors_pk PRIMARY KEY (bus)
) STRICT;
