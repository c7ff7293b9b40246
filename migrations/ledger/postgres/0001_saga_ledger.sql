-- A participant's memory of what sagas asked of it, in the participant's own database.

CREATE TABLE saga_ledger (
    saga_id    UUID        NOT NULL,
    step       TEXT        NOT NULL,
    -- NULL until the ask was done or refused here.
    outcome    TEXT,
    -- What the ask did, as much as undoing and answering again need.
    effect     JSONB,
    -- NULL until the participant learned the saga's end.
    ending     TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT saga_ledger_pk PRIMARY KEY (saga_id, step),
    CONSTRAINT saga_ledger_outcome_known CHECK (outcome IN ('done', 'refused')),
    CONSTRAINT saga_ledger_ending_known CHECK (ending IN ('revoked', 'completed'))
);
CREATE INDEX saga_ledger_ended ON saga_ledger (updated_at) WHERE ending IS NOT NULL;
