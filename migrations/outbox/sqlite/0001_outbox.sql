-- What every service that writes or reads events has in its own database.

CREATE TABLE stream_versions (
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT stream_versions_pk PRIMARY KEY (stream)
) STRICT;

CREATE TABLE outbox (
    sequence INTEGER NOT NULL,
    id BLOB NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    event TEXT NOT NULL,
    written_at INTEGER NOT NULL,
    -- Where the log put it; both NULL until then.
    sent_epoch BLOB,
    sent_position INTEGER,
    -- Why the log refused it; the stream stands still until an operator clears it.
    error TEXT,
    CONSTRAINT outbox_pk PRIMARY KEY (sequence AUTOINCREMENT),
    CONSTRAINT outbox_id_unique UNIQUE (id)
) STRICT;
CREATE INDEX outbox_unsent ON outbox (sequence) WHERE sent_position IS NULL;
CREATE INDEX outbox_stuck ON outbox (stream) WHERE error IS NOT NULL;
CREATE INDEX outbox_sent ON outbox (sent_position) WHERE sent_position IS NOT NULL;

CREATE TABLE leases (
    name TEXT NOT NULL,
    holder BLOB NOT NULL,
    token INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CONSTRAINT leases_pk PRIMARY KEY (name)
) STRICT;

CREATE TABLE consumer_checkpoints (
    consumer TEXT NOT NULL,
    epoch BLOB NOT NULL,
    position INTEGER NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL,
    CONSTRAINT consumer_checkpoints_pk PRIMARY KEY (consumer)
) STRICT;

CREATE TABLE parked_events (
    consumer TEXT NOT NULL,
    event_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    stream TEXT NOT NULL,
    type TEXT NOT NULL,
    event TEXT NOT NULL,
    error TEXT NOT NULL,
    -- How often the handler tried it; 0 for one that only waits behind another of its stream.
    attempts INTEGER NOT NULL,
    parked_at INTEGER NOT NULL,
    CONSTRAINT parked_events_pk PRIMARY KEY (consumer, event_id)
) STRICT;
CREATE INDEX parked_events_in_order ON parked_events (consumer, stream, position);
