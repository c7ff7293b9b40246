-- Words that questions are found by.
ALTER TABLE questions ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'; -- ["event-loop", "io"], sorted
-- Whether a question is there already.
CREATE INDEX questions_by_content ON questions (category, text);
