-- The sagas that a service owns, in that service's own database.

CREATE TABLE sagas (
    id                 UUID        NOT NULL,
    definition         TEXT        NOT NULL,
    definition_version BIGINT      NOT NULL,
    state              TEXT        NOT NULL,
    -- Rises with every transition; whoever writes must have read the one before.
    version            BIGINT      NOT NULL,
    correlation_id     UUID        NOT NULL,
    traceparent        TEXT,
    data               JSONB       NOT NULL,
    -- What all that is taken back at once was taken back; see State::rolled_back.
    rolled_back        BOOLEAN     NOT NULL,
    reason             TEXT,
    -- {"phase", "reason"} while the definition is not registered.
    suspended          JSONB,
    steps              JSONB       NOT NULL,
    policy             JSONB       NOT NULL,
    created_at         TIMESTAMPTZ NOT NULL,
    updated_at         TIMESTAMPTZ NOT NULL,
    ended_at           TIMESTAMPTZ,
    CONSTRAINT sagas_pk PRIMARY KEY (id),
    CONSTRAINT sagas_state_known CHECK (state IN ('running', 'completed', 'compensating',
        'compensated', 'needs_intervention', 'abandoned', 'parked'))
);
CREATE INDEX sagas_by_age ON sagas (created_at, id);
CREATE INDEX sagas_by_state ON sagas (state, created_at, id);
CREATE INDEX sagas_by_correlation ON sagas (correlation_id);
CREATE INDEX sagas_open ON sagas (definition, definition_version) WHERE ended_at IS NULL;
CREATE INDEX sagas_suspended ON sagas (definition, definition_version) WHERE suspended IS NOT NULL;

-- What running sagas wait for: a copy of the timers in their steps, ordered by time.
CREATE TABLE saga_deadlines (
    saga_id  UUID        NOT NULL,
    step     TEXT        NOT NULL,
    kind     TEXT        NOT NULL,
    due_at   TIMESTAMPTZ NOT NULL,
    -- How often firing it failed; the next try is put off, and after some the saga is set aside.
    failures BIGINT      NOT NULL DEFAULT 0,
    CONSTRAINT saga_deadlines_pk PRIMARY KEY (saga_id, step, kind),
    CONSTRAINT saga_deadlines_saga FOREIGN KEY (saga_id) REFERENCES sagas (id) ON DELETE CASCADE
);
CREATE INDEX saga_deadlines_due ON saga_deadlines (due_at);

-- What an operator decided about timeouts of sagas that start from then on.
CREATE TABLE saga_policies (
    definition TEXT        NOT NULL,
    step       TEXT        NOT NULL,
    on_timeout TEXT        NOT NULL,
    actor      TEXT        NOT NULL,
    reason     TEXT        NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT saga_policies_pk PRIMARY KEY (definition, step),
    CONSTRAINT saga_policies_known CHECK (on_timeout IN ('compensate', 'proceed', 'park'))
);

-- Replies to sagas whose definition is not registered, until it is there again.
CREATE TABLE saga_replies (
    saga_id  UUID   NOT NULL,
    event_id UUID   NOT NULL,
    position BIGINT NOT NULL,
    event    JSONB  NOT NULL,
    CONSTRAINT saga_replies_pk PRIMARY KEY (saga_id, event_id),
    CONSTRAINT saga_replies_saga FOREIGN KEY (saga_id) REFERENCES sagas (id) ON DELETE CASCADE
);

-- What happened: one row per transition, with the inputs that made it.
CREATE TABLE saga_transitions (
    saga_id  UUID        NOT NULL,
    version  BIGINT      NOT NULL,
    at       TIMESTAMPTZ NOT NULL,
    state    TEXT        NOT NULL,
    inputs   JSONB       NOT NULL,
    -- The event that caused it, where one did.
    cause_id UUID,
    CONSTRAINT saga_transitions_pk PRIMARY KEY (saga_id, version),
    CONSTRAINT saga_transitions_saga FOREIGN KEY (saga_id) REFERENCES sagas (id) ON DELETE CASCADE
);

-- Which definitions have been registered here, so that replies to one that is missing are known.
CREATE TABLE saga_definitions (
    name          TEXT        NOT NULL,
    version       BIGINT      NOT NULL,
    reply_types   JSONB       NOT NULL,
    registered_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT saga_definitions_pk PRIMARY KEY (name, version)
);
