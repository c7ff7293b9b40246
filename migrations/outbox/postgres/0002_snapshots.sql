-- What an aggregate's events add up to, so that loading it reads only the later ones. Always to be had
-- again from the log: rows may be deleted at any time.
CREATE TABLE snapshots (
    stream         TEXT        NOT NULL,
    -- What is made of the stream, and the version of its shape.
    kind           TEXT        NOT NULL,
    schema_version BIGINT      NOT NULL,
    -- The last event in it. A log whose stream has another one there is not the log it was made of.
    version        BIGINT      NOT NULL,
    event_id       UUID        NOT NULL,
    state          JSONB       NOT NULL,
    taken_at       TIMESTAMPTZ NOT NULL,
    CONSTRAINT snapshots_pk PRIMARY KEY (stream, kind)
);
