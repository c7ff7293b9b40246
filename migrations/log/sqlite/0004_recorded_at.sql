-- When the log took an event: what latencies after the log are measured from. SQLite adds no column
-- whose default is a clock, so whoever appends says it; events from before have none.
ALTER TABLE events ADD COLUMN recorded_at INTEGER;
