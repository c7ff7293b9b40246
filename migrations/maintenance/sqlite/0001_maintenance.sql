-- Times are microseconds since the Unix epoch.

-- One row for each job; whoever changes anything of a job holds its row first.
CREATE TABLE jobs (
    name          TEXT    NOT NULL,
    -- Up to here it is decided which due times became runs.
    decided_until INTEGER NOT NULL,
    CONSTRAINT jobs_pk PRIMARY KEY (name)
) STRICT;

CREATE TABLE runs (
    id            BLOB    NOT NULL,
    job           TEXT    NOT NULL,
    trigger_kind  TEXT    NOT NULL,     -- schedule, missed, request, event
    status        TEXT    NOT NULL,
    -- The due time that it stands for; a due time is one run.
    scheduled_for INTEGER,
    parameters    TEXT    NOT NULL,
    actor         TEXT,
    reason        TEXT,
    -- The asker's Idempotency-Key, with who it is.
    request_key   TEXT,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    deadline      INTEGER,
    finished_at   INTEGER,
    round         INTEGER NOT NULL,     -- of what services were asked; 0 for local work
    detail        TEXT    NOT NULL,
    error         TEXT,
    late_replies  INTEGER NOT NULL,
    -- Who does the local work, and until when nobody else may take it over.
    holder        BLOB,
    token         INTEGER NOT NULL,
    held_until    INTEGER,
    CONSTRAINT runs_pk PRIMARY KEY (id),
    CONSTRAINT runs_job_fk FOREIGN KEY (job) REFERENCES jobs (name),
    CONSTRAINT runs_due_time_unique UNIQUE (job, scheduled_for),
    CONSTRAINT runs_request_key_unique UNIQUE (job, request_key),
    CONSTRAINT runs_status CHECK (status IN
        ('queued', 'running', 'completed', 'failed', 'timed_out', 'skipped'))
) STRICT;
CREATE UNIQUE INDEX runs_one_running ON runs (job) WHERE status = 'running';
CREATE UNIQUE INDEX runs_one_queued ON runs (job) WHERE status = 'queued';
CREATE INDEX runs_in_order ON runs (job, created_at, id);

-- The services that a run expects an answer of.
CREATE TABLE participants (
    run_id  BLOB    NOT NULL,
    service TEXT    NOT NULL,
    round   INTEGER NOT NULL,           -- the last one that it answered
    more    INTEGER NOT NULL,
    detail  TEXT    NOT NULL,
    error   TEXT,
    CONSTRAINT participants_pk PRIMARY KEY (run_id, service),
    CONSTRAINT participants_run_fk FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) STRICT;

-- What happened on a UTC day, by kind and quiz mode ('' where there is none).
CREATE TABLE day_counts (
    day       TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    quiz_mode TEXT    NOT NULL,
    count     INTEGER NOT NULL,
    CONSTRAINT day_counts_pk PRIMARY KEY (day, kind, quiz_mode)
) STRICT;

-- Answers whose saga has not ended: its end does not tell the mode again.
CREATE TABLE open_answers (
    answer_id    BLOB    NOT NULL,
    quiz_mode    TEXT    NOT NULL,
    is_correct   INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    CONSTRAINT open_answers_pk PRIMARY KEY (answer_id)
) STRICT;
CREATE INDEX open_answers_by_age ON open_answers (submitted_at);

CREATE TABLE reports (
    day     TEXT    NOT NULL,
    body    TEXT    NOT NULL,
    made_at INTEGER NOT NULL,
    CONSTRAINT reports_pk PRIMARY KEY (day)
) STRICT;
