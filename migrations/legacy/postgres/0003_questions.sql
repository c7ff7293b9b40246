-- Filtering by tag, full-text search, and draws that do not repeat.

CREATE INDEX questions_by_tag ON questions USING gin (tags jsonb_path_ops) WHERE deleted_at IS NULL;

-- The words of each question, cut by the program: separated by single spaces, without case and
-- accents, letters and digits only. A row whose `as_of` is not the question's `updated_at`, or whose
-- `format` is below the program's, is written again.
CREATE TABLE question_search (
    question_id UUID        NOT NULL,
    head        TEXT        NOT NULL,       -- text, tags, category
    body        TEXT        NOT NULL,       -- choices
    as_of       TIMESTAMPTZ NOT NULL,
    format      BIGINT      NOT NULL,
    -- No text parser: the words are lexemes as they are.
    head_words  TSVECTOR    NOT NULL GENERATED ALWAYS AS (
        array_to_tsvector(array_remove(string_to_array(head, ' '), ''))) STORED,
    words       TSVECTOR    NOT NULL GENERATED ALWAYS AS (
        array_to_tsvector(array_remove(string_to_array(head || ' ' || body, ' '), ''))) STORED,
    CONSTRAINT question_search_pk PRIMARY KEY (question_id)
);
CREATE INDEX question_search_by_word ON question_search USING gin (words);

-- What each user got from each pool of questions since it was last used up.
CREATE TABLE draws (
    user_id  UUID        NOT NULL,
    pool     TEXT        NOT NULL,          -- category/difficulty/tag
    drawn    BYTEA       NOT NULL,          -- eight bytes for each question, in the order of the draws
    drawn_at TIMESTAMPTZ NOT NULL,          -- forgotten 30 days later
    CONSTRAINT draws_pk PRIMARY KEY (user_id, pool)
);
CREATE INDEX draws_by_age ON draws (drawn_at);
