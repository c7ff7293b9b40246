-- Whose effects they are: an effect that names a user does so as `userId`, until its saga has ended.
CREATE INDEX saga_ledger_by_user ON saga_ledger ((effect ->> 'userId'));

-- Up to when rows of ended sagas may have been removed: an audit expects none from before that.
CREATE TABLE saga_ledger_pruned (
    step         TEXT        NOT NULL,
    ended_before TIMESTAMPTZ NOT NULL,
    CONSTRAINT saga_ledger_pruned_pk PRIMARY KEY (step)
);
