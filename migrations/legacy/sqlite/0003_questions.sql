-- Times are microseconds since the Unix epoch.
-- Filtering by tag, full-text search, and draws that do not repeat.

-- Which questions carry a tag: the rows of `questions.tags`, kept by triggers, so that whoever writes
-- a question keeps them right. (PostgreSQL indexes the column itself.)
CREATE TABLE question_tags (
    tag         TEXT NOT NULL,
    question_id BLOB NOT NULL,
    CONSTRAINT question_tags_pk PRIMARY KEY (tag, question_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX question_tags_by_question ON question_tags (question_id);
CREATE TRIGGER question_tags_added AFTER INSERT ON questions BEGIN
    INSERT OR IGNORE INTO question_tags (tag, question_id)
    SELECT value, new.id FROM json_each(new.tags);
END;
CREATE TRIGGER question_tags_changed AFTER UPDATE OF tags ON questions BEGIN
    DELETE FROM question_tags WHERE question_id = old.id;
    INSERT OR IGNORE INTO question_tags (tag, question_id)
    SELECT value, new.id FROM json_each(new.tags);
END;
CREATE TRIGGER question_tags_removed AFTER DELETE ON questions BEGIN
    DELETE FROM question_tags WHERE question_id = old.id;
END;

-- The words of each question, cut by the program: separated by single spaces, without case and
-- accents, letters and digits only. A row whose `as_of` is not the question's `updated_at`, or whose
-- `format` is below the program's, is written again.
CREATE TABLE question_search (
    number      INTEGER NOT NULL,
    question_id BLOB    NOT NULL,
    head        TEXT    NOT NULL,           -- text, tags, category
    body        TEXT    NOT NULL,           -- choices
    as_of       INTEGER NOT NULL,
    format      INTEGER NOT NULL,
    CONSTRAINT question_search_pk PRIMARY KEY (number),
    CONSTRAINT question_search_question_unique UNIQUE (question_id)
) STRICT;
-- The tokenizer that does nothing but cut at spaces here.
CREATE VIRTUAL TABLE question_words USING fts5(
    head, body, content = 'question_search', content_rowid = 'number', tokenize = 'ascii',
    prefix = '2 3'
);
CREATE TRIGGER question_words_added AFTER INSERT ON question_search BEGIN
    INSERT INTO question_words (rowid, head, body) VALUES (new.number, new.head, new.body);
END;
CREATE TRIGGER question_words_changed AFTER UPDATE ON question_search BEGIN
    INSERT INTO question_words (question_words, rowid, head, body)
    VALUES ('delete', old.number, old.head, old.body);
    INSERT INTO question_words (rowid, head, body) VALUES (new.number, new.head, new.body);
END;
CREATE TRIGGER question_words_removed AFTER DELETE ON question_search BEGIN
    INSERT INTO question_words (question_words, rowid, head, body)
    VALUES ('delete', old.number, old.head, old.body);
END;

-- What each user got from each pool of questions since it was last used up.
CREATE TABLE draws (
    user_id  BLOB    NOT NULL,
    pool     TEXT    NOT NULL,              -- category/difficulty/tag
    drawn    BLOB    NOT NULL,              -- eight bytes for each question, in the order of the draws
    drawn_at INTEGER NOT NULL,              -- forgotten 30 days later
    CONSTRAINT draws_pk PRIMARY KEY (user_id, pool)
) STRICT;
CREATE INDEX draws_by_age ON draws (drawn_at);

-- The tags of what was there before.
INSERT OR IGNORE INTO question_tags (tag, question_id)
SELECT value, questions.id FROM questions, json_each(questions.tags);
