-- Words that questions are found by.
ALTER TABLE questions ADD COLUMN tags JSONB NOT NULL DEFAULT '[]'; -- ["event-loop", "io"], sorted
-- Whether a question is there already; its two columns are bounded well below an index row's limit.
CREATE INDEX questions_by_content ON questions (category, text);
