-- Who the players are. `source` says who named them: an account's own event outranks the name that
-- a token carried with an answer, which may be older.
CREATE TABLE players (
    user_id UUID NOT NULL,
    display_name TEXT NOT NULL,
    source TEXT NOT NULL,
    CONSTRAINT players_pk PRIMARY KEY (user_id),
    CONSTRAINT players_source_known CHECK (source IN ('import', 'answer', 'account'))
);

-- One line for each player and quiz mode: `base` came by import (as of `base_at`), `points` was
-- earned here, provisional answers included. Who reached a score first stands above.
CREATE TABLE entries (
    user_id UUID NOT NULL,
    quiz_mode TEXT NOT NULL,
    base BIGINT NOT NULL,
    base_at TIMESTAMPTZ,
    points BIGINT NOT NULL,
    score BIGINT NOT NULL,
    reached_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT entries_pk PRIMARY KEY (user_id, quiz_mode),
    CONSTRAINT entries_score_is_the_sum CHECK (score = base + points)
);
CREATE INDEX entries_by_rank ON entries (quiz_mode, score DESC, reached_at, user_id);
