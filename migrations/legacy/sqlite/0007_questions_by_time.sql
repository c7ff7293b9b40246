-- Whoever follows the edits asks for what was written after a time.
CREATE INDEX questions_by_time ON questions (updated_at, id);
