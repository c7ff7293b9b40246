-- When the log took an event, by the clock of the log's own server: what latencies after the log are
-- measured from. The default is set apart from the column, so that nothing is rewritten; events
-- from before have none. Who appends need not know of it: its statements fill the columns before.
ALTER TABLE events ADD COLUMN recorded_at TIMESTAMPTZ;
ALTER TABLE events ALTER COLUMN recorded_at SET DEFAULT clock_timestamp();
