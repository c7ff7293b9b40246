-- Times are microseconds since the Unix epoch.

-- Answers from before a player's stats were set back count no more, on no board.
ALTER TABLE answers ADD COLUMN counted INTEGER NOT NULL DEFAULT 1;

CREATE TABLE maintenance_runs (
    id            BLOB        NOT NULL,
    job           TEXT        NOT NULL,
    status        TEXT        NOT NULL,
    parameters    TEXT        NOT NULL,
    actor         BLOB        NOT NULL,
    reason        TEXT,
    request_key   TEXT,                     -- the asker's Idempotency-Key, with who it is
    started_at    INTEGER     NOT NULL,
    finished_at   INTEGER,
    detail        TEXT        NOT NULL,
    error         TEXT,
    CONSTRAINT maintenance_runs_pk PRIMARY KEY (id),
    CONSTRAINT maintenance_runs_request_key_unique UNIQUE (job, request_key),
    CONSTRAINT maintenance_runs_status CHECK (status IN ('running', 'completed', 'failed', 'timed_out'))
) STRICT;
CREATE UNIQUE INDEX maintenance_runs_one_running ON maintenance_runs (job) WHERE status = 'running';
CREATE INDEX maintenance_runs_in_order ON maintenance_runs (job, started_at, id);

CREATE TABLE maintenance_reports (
    day     TEXT        NOT NULL,
    body    TEXT        NOT NULL,
    made_at INTEGER     NOT NULL,
    CONSTRAINT maintenance_reports_pk PRIMARY KEY (day)
) STRICT;
