-- Which logs this one was before it was restored from a backup: where each identity began, and
-- whose events up to there it shares.
CREATE TABLE log_epochs (
    epoch       UUID        NOT NULL,
    predecessor UUID        NOT NULL,
    -- The newest position that both have.
    position    BIGINT      NOT NULL,
    reason      TEXT        NOT NULL,
    actor       TEXT        NOT NULL,
    began_at    TIMESTAMPTZ NOT NULL,
    CONSTRAINT log_epochs_pk PRIMARY KEY (epoch)
);
