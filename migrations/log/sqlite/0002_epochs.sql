-- Which logs this one was before it was restored from a backup: where each identity began, and
-- whose events up to there it shares.
CREATE TABLE log_epochs (
    epoch       BLOB    NOT NULL,
    predecessor BLOB    NOT NULL,
    -- The newest position that both have.
    position    INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    began_at    INTEGER NOT NULL,
    CONSTRAINT log_epochs_pk PRIMARY KEY (epoch)
) STRICT;
