-- What the log has given away to the archive's files: closed ranges whose rows are gone, from position 1 on
-- without a gap. What must be known of an event for ever stays here: its id, so that a repeat is told, its
-- place in its stream, and what it is found by.

-- Up to here events lie in files alone.
ALTER TABLE log_head ADD COLUMN archived_to INTEGER NOT NULL DEFAULT 0;
-- Up to here their keys are kept: an append looks for an id among them only where there are any.
ALTER TABLE log_head ADD COLUMN keys_to INTEGER NOT NULL DEFAULT 0;

CREATE TABLE archived_ranges (
    first_position INTEGER NOT NULL,
    last_position  INTEGER NOT NULL,
    -- Where the archive is for who removed the rows, and the file below it, which may hold more than the range.
    folder         TEXT    NOT NULL,
    file           TEXT    NOT NULL,
    bytes          INTEGER NOT NULL,
    sha256         TEXT    NOT NULL,
    -- {"type": [events, last position]}
    types          TEXT    NOT NULL,
    categories     TEXT    NOT NULL,
    -- Streams that begin in it.
    streams        INTEGER NOT NULL,
    -- When its first event happened, and when the log took its last.
    first_at       INTEGER NOT NULL,
    taken_to       INTEGER NOT NULL,
    noted_at       INTEGER NOT NULL,
    removed_at     INTEGER,
    CONSTRAINT archived_ranges_pk PRIMARY KEY (first_position),
    CONSTRAINT archived_ranges_not_empty CHECK (last_position >= first_position)
) STRICT;

CREATE TABLE archived_keys (
    id             BLOB    NOT NULL,
    position       INTEGER NOT NULL,
    stream         TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    type           TEXT    NOT NULL,
    correlation_id BLOB    NOT NULL,
    CONSTRAINT archived_keys_pk PRIMARY KEY (id),
    CONSTRAINT archived_keys_stream_version_unique UNIQUE (stream, version)
) STRICT;
CREATE INDEX archived_keys_by_correlation ON archived_keys (correlation_id, position);

-- The one way by which a row leaves: its key is kept.
DROP TRIGGER events_never_deleted;
CREATE TRIGGER events_never_deleted BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM archived_keys k WHERE k.id = OLD.id AND k.position = OLD.position)
BEGIN
    SELECT RAISE(ABORT, 'stored events are never changed: DELETE on events refused');
END;

-- How far each consumer says that it is: nothing above the slowest is removed.
CREATE TABLE log_readers (
    reader      TEXT    NOT NULL,
    epoch       BLOB    NOT NULL,
    position    INTEGER NOT NULL,
    reported_at INTEGER NOT NULL,
    CONSTRAINT log_readers_pk PRIMARY KEY (reader)
) STRICT;
