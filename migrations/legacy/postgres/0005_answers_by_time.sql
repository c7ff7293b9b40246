-- Boards of days and weeks are summed up from what was answered in them.
CREATE INDEX answers_by_time ON answers (quiz_mode, answered_at);
