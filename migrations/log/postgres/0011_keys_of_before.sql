-- The second step: the keys of all events from before, wherever they lie. It takes up to a minute for
-- each million events, in which everybody reads and appends on. What came since the first step has its key already;
-- what is archived meanwhile is in one of both tables at any moment, and this is one statement.
INSERT INTO event_keys (id, position, stream, version, type, correlation_id)
SELECT id, position, stream, version, type, correlation_id FROM events
UNION ALL
SELECT id, position, stream, version, type, correlation_id FROM archived_keys
ON CONFLICT DO NOTHING;

-- What the table of today will be the partition of: up to a border that appends do not come to before the
-- third step is done. Not looked at here: it locks the table for a moment.
SET LOCAL lock_timeout = '5s';
DO $$
DECLARE
    border BIGINT;
BEGIN
    SELECT h.partition_size * CASE h.head WHEN 0 THEN 1
                              ELSE (h.head + h.head / 10) / h.partition_size + 2 END + 1
      INTO border FROM log_head h;
    EXECUTE format('ALTER TABLE events ADD CONSTRAINT events_before_border
                    CHECK (position >= 1 AND position < %s) NOT VALID', border);
END
$$;
