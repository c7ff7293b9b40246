-- Times are microseconds since the Unix epoch.
-- The question bank as curators write it.

CREATE TABLE questions (
    id                BLOB    NOT NULL,
    text              TEXT    NOT NULL,
    category          TEXT    NOT NULL,
    difficulty        TEXT    NOT NULL,
    choices           TEXT    NOT NULL, -- [{"id": "a", "text": "…"}, …]
    correct_choice_id TEXT    NOT NULL,
    tags              TEXT    NOT NULL, -- ["event-loop", "io"], sorted
    version           INTEGER NOT NULL, -- rises with every edit, also over a deletion
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    deleted_at        INTEGER,          -- the id is never given to another question
    legacy_updated_at INTEGER,          -- the monolith's row as it was taken over last
    changed_here_at   INTEGER,          -- the last edit here; from then on the monolith's are conflicts
    applied_version   INTEGER NOT NULL, -- what players see, as far as it was confirmed; 0: nothing yet
    CONSTRAINT questions_pk PRIMARY KEY (id),
    CONSTRAINT questions_difficulty CHECK (difficulty IN ('easy', 'medium', 'hard')),
    CONSTRAINT questions_origin CHECK (legacy_updated_at IS NOT NULL OR changed_here_at IS NOT NULL)
) STRICT;
CREATE INDEX questions_by_category ON questions (category, difficulty, id);
-- Whether a question is there already.
CREATE INDEX questions_by_content ON questions (category, text);

-- The monolith's edits of questions that were edited here, too. Ours stay until somebody decides.
CREATE TABLE conflicts (
    question_id       BLOB    NOT NULL,
    legacy_content    TEXT    NOT NULL, -- the monolith's question; null where it was deleted there
    legacy_updated_at INTEGER NOT NULL,
    noticed_at        INTEGER NOT NULL,
    CONSTRAINT conflicts_pk PRIMARY KEY (question_id)
) STRICT;

-- Where an import that was interrupted goes on; no row: the next one starts at the beginning.
CREATE TABLE import_progress (
    source   TEXT NOT NULL,
    after_id BLOB NOT NULL,             -- the last row that was taken over
    CONSTRAINT import_progress_pk PRIMARY KEY (source)
) STRICT;

-- Up to which time the monolith's changes are known; no row before the first import has ended.
CREATE TABLE follow_progress (
    source    TEXT    NOT NULL,
    watermark INTEGER NOT NULL,
    CONSTRAINT follow_progress_pk PRIMARY KEY (source)
) STRICT;
