-- Node-Learn's monolith: one database for everything. It knows nothing of events.

CREATE TABLE users (
    id            UUID        NOT NULL,
    email         TEXT,                     -- as typed; NULL for guests and for users taken in by their token
    email_key     TEXT,                     -- lower case; what logins and uniqueness go by
    password_hash TEXT,                     -- argon2id, PHC string
    display_name  TEXT        NOT NULL,
    roles         JSONB       NOT NULL,     -- ["user"]
    created_at    TIMESTAMPTZ NOT NULL,
    updated_at    TIMESTAMPTZ NOT NULL,
    CONSTRAINT users_pk PRIMARY KEY (id),
    CONSTRAINT users_email_key_unique UNIQUE (email_key),
    CONSTRAINT users_email_complete CHECK ((email IS NULL) = (email_key IS NULL))
);

CREATE TABLE refresh_tokens (
    token_hash BYTEA       NOT NULL,        -- SHA-256 of the opaque token
    user_id    UUID        NOT NULL,
    family     UUID        NOT NULL,        -- the login that the chain of rotations began with
    issued_at  TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at    TIMESTAMPTZ,                 -- rotated; a second use ends the whole family
    CONSTRAINT refresh_tokens_pk PRIMARY KEY (token_hash),
    CONSTRAINT refresh_tokens_user_fk FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

CREATE TABLE questions (
    id                UUID        NOT NULL,
    text              TEXT        NOT NULL,
    category          TEXT        NOT NULL,
    difficulty        TEXT        NOT NULL,
    choices           JSONB       NOT NULL, -- [{"id": "a", "text": "…"}, …]
    correct_choice_id TEXT        NOT NULL,
    version           BIGINT      NOT NULL, -- rises with every edit
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL,
    deleted_at        TIMESTAMPTZ,          -- answers refer to it for ever, so it is only hidden
    CONSTRAINT questions_pk PRIMARY KEY (id),
    CONSTRAINT questions_difficulty CHECK (difficulty IN ('easy', 'medium', 'hard'))
);
CREATE INDEX questions_by_category ON questions (category, difficulty, id);

CREATE TABLE answers (
    id                UUID        NOT NULL,
    user_id           UUID        NOT NULL,
    question_id       UUID        NOT NULL,
    choice_id         TEXT        NOT NULL,
    quiz_mode         TEXT        NOT NULL,
    category          TEXT        NOT NULL, -- as the question was when it was answered
    difficulty        TEXT        NOT NULL,
    is_correct        BOOLEAN     NOT NULL,
    correct_choice_id TEXT        NOT NULL,
    points            BIGINT      NOT NULL,
    streak            BIGINT      NOT NULL, -- with this answer
    achievements      JSONB       NOT NULL, -- [{"id", "name"}]: what it unlocked
    board_score       BIGINT      NOT NULL, -- the player's score on the mode's board with it
    board_position    BIGINT      NOT NULL,
    answered_at       TIMESTAMPTZ NOT NULL,
    CONSTRAINT answers_pk PRIMARY KEY (id),
    CONSTRAINT answers_user_fk FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT answers_question_fk FOREIGN KEY (question_id) REFERENCES questions (id),
    CONSTRAINT answers_quiz_mode CHECK (quiz_mode IN ('classic', 'timed', 'survival'))
);
CREATE INDEX answers_by_user ON answers (user_id, answered_at);

CREATE TABLE idempotency_keys (
    user_id      UUID        NOT NULL,
    path         TEXT        NOT NULL,
    key          TEXT        NOT NULL,
    request_hash BYTEA       NOT NULL,      -- SHA-256 of the body it came with first
    answer_id    UUID        NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,      -- kept for 24 h
    CONSTRAINT idempotency_keys_pk PRIMARY KEY (user_id, path, key),
    CONSTRAINT idempotency_keys_answer_fk FOREIGN KEY (answer_id) REFERENCES answers (id)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE stats (
    user_id     UUID        NOT NULL,
    answered    BIGINT      NOT NULL,
    correct     BIGINT      NOT NULL,
    streak      BIGINT      NOT NULL,
    best_streak BIGINT      NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL,
    CONSTRAINT stats_pk PRIMARY KEY (user_id),
    CONSTRAINT stats_user_fk FOREIGN KEY (user_id) REFERENCES users (id)
);

CREATE TABLE mode_stats (
    user_id   UUID   NOT NULL,
    quiz_mode TEXT   NOT NULL,
    answered  BIGINT NOT NULL,
    correct   BIGINT NOT NULL,
    score     BIGINT NOT NULL,
    CONSTRAINT mode_stats_pk PRIMARY KEY (user_id, quiz_mode),
    CONSTRAINT mode_stats_stats_fk FOREIGN KEY (user_id) REFERENCES stats (user_id)
);

-- What the badge rules know about a player: achievement::domain::Player as JSON.
CREATE TABLE players (
    user_id    UUID        NOT NULL,
    state      JSONB       NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT players_pk PRIMARY KEY (user_id),
    CONSTRAINT players_user_fk FOREIGN KEY (user_id) REFERENCES users (id)
);

CREATE TABLE achievements (
    user_id     UUID        NOT NULL,
    badge_id    TEXT        NOT NULL,
    answer_id   UUID        NOT NULL,
    unlocked_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT achievements_pk PRIMARY KEY (user_id, badge_id),
    CONSTRAINT achievements_user_fk FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT achievements_answer_fk FOREIGN KEY (answer_id) REFERENCES answers (id)
);

CREATE TABLE leaderboard (
    quiz_mode  TEXT        NOT NULL,
    user_id    UUID        NOT NULL,
    score      BIGINT      NOT NULL,
    reached_at TIMESTAMPTZ NOT NULL,        -- whoever reached a score first stands above
    CONSTRAINT leaderboard_pk PRIMARY KEY (quiz_mode, user_id),
    CONSTRAINT leaderboard_user_fk FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX leaderboard_by_rank ON leaderboard (quiz_mode, score DESC, reached_at, user_id);
