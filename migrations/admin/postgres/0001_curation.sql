-- The question bank as curators write it.

CREATE TABLE questions (
    id                UUID        NOT NULL,
    text              TEXT        NOT NULL,
    category          TEXT        NOT NULL,
    difficulty        TEXT        NOT NULL,
    choices           JSONB       NOT NULL, -- [{"id": "a", "text": "…"}, …]
    correct_choice_id TEXT        NOT NULL,
    tags              JSONB       NOT NULL, -- ["event-loop", "io"], sorted
    version           BIGINT      NOT NULL, -- rises with every edit, also over a deletion
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL,
    deleted_at        TIMESTAMPTZ,          -- the id is never given to another question
    legacy_updated_at TIMESTAMPTZ,          -- the monolith's row as it was taken over last
    changed_here_at   TIMESTAMPTZ,          -- the last edit here; from then on the monolith's are conflicts
    applied_version   BIGINT      NOT NULL, -- what players see, as far as it was confirmed; 0: nothing yet
    CONSTRAINT questions_pk PRIMARY KEY (id),
    CONSTRAINT questions_difficulty CHECK (difficulty IN ('easy', 'medium', 'hard')),
    CONSTRAINT questions_origin CHECK (legacy_updated_at IS NOT NULL OR changed_here_at IS NOT NULL)
);
CREATE INDEX questions_by_category ON questions (category, difficulty, id);
-- Whether a question is there already; its two columns are bounded well below an index row's limit.
CREATE INDEX questions_by_content ON questions (category, text);

-- The monolith's edits of questions that were edited here, too. Ours stay until somebody decides.
CREATE TABLE conflicts (
    question_id       UUID        NOT NULL,
    legacy_content    JSONB       NOT NULL, -- the monolith's question; null where it was deleted there
    legacy_updated_at TIMESTAMPTZ NOT NULL,
    noticed_at        TIMESTAMPTZ NOT NULL,
    CONSTRAINT conflicts_pk PRIMARY KEY (question_id)
);

-- Where an import that was interrupted goes on; no row: the next one starts at the beginning.
CREATE TABLE import_progress (
    source   TEXT NOT NULL,
    after_id UUID NOT NULL,                 -- the last row that was taken over
    CONSTRAINT import_progress_pk PRIMARY KEY (source)
);

-- Up to which time the monolith's changes are known; no row before the first import has ended.
CREATE TABLE follow_progress (
    source    TEXT        NOT NULL,
    watermark TIMESTAMPTZ NOT NULL,
    CONSTRAINT follow_progress_pk PRIMARY KEY (source)
);
