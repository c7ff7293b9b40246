-- Answers from before a player's stats were set back count no more, on no board.
ALTER TABLE answers ADD COLUMN counted BOOLEAN NOT NULL DEFAULT TRUE;

CREATE TABLE maintenance_runs (
    id            UUID        NOT NULL,
    job           TEXT        NOT NULL,
    status        TEXT        NOT NULL,
    parameters    JSONB       NOT NULL,
    actor         UUID        NOT NULL,
    reason        TEXT,
    request_key   TEXT,                     -- the asker's Idempotency-Key, with who it is
    started_at    TIMESTAMPTZ NOT NULL,
    finished_at   TIMESTAMPTZ,
    detail        JSONB       NOT NULL,
    error         TEXT,
    CONSTRAINT maintenance_runs_pk PRIMARY KEY (id),
    CONSTRAINT maintenance_runs_request_key_unique UNIQUE (job, request_key),
    CONSTRAINT maintenance_runs_status CHECK (status IN ('running', 'completed', 'failed', 'timed_out'))
);
CREATE UNIQUE INDEX maintenance_runs_one_running ON maintenance_runs (job) WHERE status = 'running';
CREATE INDEX maintenance_runs_in_order ON maintenance_runs (job, started_at, id);

CREATE TABLE maintenance_reports (
    day     TEXT        NOT NULL,
    body    JSONB       NOT NULL,
    made_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT maintenance_reports_pk PRIMARY KEY (day)
);
