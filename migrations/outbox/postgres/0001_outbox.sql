-- What every service that writes or reads events has in its own database.

CREATE TABLE stream_versions (
    stream  TEXT   NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT stream_versions_pk PRIMARY KEY (stream)
);

CREATE TABLE outbox (
    sequence      BIGINT      NOT NULL GENERATED ALWAYS AS IDENTITY,
    id            UUID        NOT NULL,
    stream        TEXT        NOT NULL,
    version       BIGINT      NOT NULL,
    event         JSONB       NOT NULL,
    written_at    TIMESTAMPTZ NOT NULL,
    -- Where the log put it; both NULL until then.
    sent_epoch    UUID,
    sent_position BIGINT,
    -- Why the log refused it; the stream stands still until an operator clears it.
    error         TEXT,
    CONSTRAINT outbox_pk PRIMARY KEY (sequence),
    CONSTRAINT outbox_id_unique UNIQUE (id)
);
CREATE INDEX outbox_unsent ON outbox (sequence) WHERE sent_position IS NULL;
CREATE INDEX outbox_stuck ON outbox (stream) WHERE error IS NOT NULL;
CREATE INDEX outbox_sent ON outbox (sent_position) WHERE sent_position IS NOT NULL;

CREATE TABLE leases (
    name       TEXT        NOT NULL,
    holder     UUID        NOT NULL,
    token      BIGINT      NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT leases_pk PRIMARY KEY (name)
);

CREATE TABLE consumer_checkpoints (
    consumer   TEXT        NOT NULL,
    epoch      UUID        NOT NULL,
    position   BIGINT      NOT NULL,
    paused     BOOLEAN     NOT NULL DEFAULT FALSE,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT consumer_checkpoints_pk PRIMARY KEY (consumer)
);

CREATE TABLE parked_events (
    consumer  TEXT        NOT NULL,
    event_id  UUID        NOT NULL,
    position  BIGINT      NOT NULL,
    stream    TEXT        NOT NULL,
    type      TEXT        NOT NULL,
    event     JSONB       NOT NULL,
    error     TEXT        NOT NULL,
    -- How often the handler tried it; 0 for one that only waits behind another of its stream.
    attempts  BIGINT      NOT NULL,
    parked_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT parked_events_pk PRIMARY KEY (consumer, event_id)
);
CREATE INDEX parked_events_in_order ON parked_events (consumer, stream, position);
