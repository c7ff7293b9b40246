-- The quiz service's own copy of the questions, with the right choice. `version` is the version of
-- the question's event stream that was applied last; 0 for a row that came by import.
CREATE TABLE questions (
    id UUID NOT NULL,
    version BIGINT NOT NULL,
    category TEXT NOT NULL,
    difficulty TEXT NOT NULL,
    choice_ids JSONB NOT NULL,
    correct_choice_id TEXT NOT NULL,
    deleted BOOLEAN NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT questions_pk PRIMARY KEY (id),
    CONSTRAINT questions_version_known CHECK (version >= 0)
);

-- One row for each answer ever given here; its id is also the id of its saga.
-- `own_before` is the player's own tally as it was before the answer: what a roll-back restores.
CREATE TABLE answers (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    question_id UUID NOT NULL,
    choice_id TEXT NOT NULL,
    correct_choice_id TEXT NOT NULL,
    quiz_mode TEXT NOT NULL,
    is_correct BOOLEAN NOT NULL,
    points BIGINT NOT NULL,
    streak BIGINT NOT NULL,
    status TEXT NOT NULL,
    own_before JSONB,
    achievements JSONB,
    standing JSONB,
    reason TEXT,
    submitted_at TIMESTAMPTZ NOT NULL,
    decided_at TIMESTAMPTZ,
    CONSTRAINT answers_pk PRIMARY KEY (id),
    CONSTRAINT answers_status_known CHECK (status IN ('pending', 'completed', 'compensated')),
    CONSTRAINT answers_decided_once CHECK ((status = 'pending') = (decided_at IS NULL)),
    CONSTRAINT answers_undo_kept CHECK (status <> 'pending' OR own_before IS NOT NULL)
);

-- A streak is never built on an answer that may be taken back.
CREATE UNIQUE INDEX answers_one_undecided_per_user ON answers (user_id) WHERE status = 'pending';
CREATE INDEX answers_by_user ON answers (user_id, id);

-- What a player did elsewhere before (`base`, by import) and here (`own`, the fold of the player's
-- answers that are not compensated). What a player is shown is both together.
CREATE TABLE stats (
    user_id UUID NOT NULL,
    base JSONB NOT NULL,
    base_at TIMESTAMPTZ,
    own JSONB NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT stats_pk PRIMARY KEY (user_id)
);

-- Which request an Idempotency-Key stood for.
CREATE TABLE idempotency_keys (
    subject UUID NOT NULL,
    path TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    answer_id UUID NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT idempotency_keys_pk PRIMARY KEY (subject, path, key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
