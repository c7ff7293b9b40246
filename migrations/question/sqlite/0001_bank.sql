-- Times are microseconds since the Unix epoch.
-- The question bank as players may read it, and the answers for services only.

CREATE TABLE questions (
    id                BLOB        NOT NULL,
    text              TEXT        NOT NULL,
    category          TEXT        NOT NULL,
    difficulty        TEXT        NOT NULL,
    choices           TEXT        NOT NULL, -- [{"id": "a", "text": "…"}, …]
    correct_choice_id TEXT        NOT NULL, -- never leaves through the public API
    version           INTEGER     NOT NULL, -- the monolith's, or that of the question's event stream
    updated_at        INTEGER     NOT NULL,
    deleted_at        INTEGER,              -- hidden; a late import must not bring it back
    -- An import may write a row only while no event has.
    legacy_updated_at INTEGER,              -- the legacy row's updated_at as imported
    event_position    INTEGER,              -- the log position of the event that wrote it last
    CONSTRAINT questions_pk PRIMARY KEY (id),
    CONSTRAINT questions_difficulty CHECK (difficulty IN ('easy', 'medium', 'hard')),
    CONSTRAINT questions_origin CHECK (legacy_updated_at IS NOT NULL OR event_position IS NOT NULL)
) STRICT;
CREATE INDEX questions_by_category ON questions (category, difficulty, id);

-- Where an import that was interrupted goes on; no row: the next one starts at the beginning.
CREATE TABLE import_progress (
    source   TEXT NOT NULL,
    after_id BLOB NOT NULL,                 -- the last row that was taken over
    CONSTRAINT import_progress_pk PRIMARY KEY (source)
) STRICT;
