-- The way to partitions of `events` by position, in three steps, so that nobody waits longer than some
-- milliseconds. This first one: a table that keeps what must be unique over all partitions, and what an
-- event is found by. A unique constraint of a partitioned table has to contain the position, so ids, and
-- stream and version, cannot be kept unique there.
--
-- Locked meanwhile: everybody, for as long as it takes to make an empty table and a trigger. Who holds the log
-- open, as a dump does, would make all wait behind this: after five seconds it gives up, and is done again with
-- the next start.
SET LOCAL lock_timeout = '5s';

-- Whoever removes rows holds them and then asks for the head, and who appends the other way round. With the
-- first kept out by its lease, locks are taken in one order here.
SELECT count(*) FROM (SELECT 1 FROM leases WHERE name = 'retention' FOR UPDATE) AS held;

-- `partition_size`: how many positions the next partition gets. `room_to`: up to here the appends know
-- that there are partitions; one that goes beyond it looks, and makes what is missing. 0 while there are none.
-- With the first every append says that it has kept its keys. One that began before and waits for the head
-- meanwhile goes on as its function was, and does not: it fails, and is repeated.
ALTER TABLE log_head ADD COLUMN partition_size BIGINT NOT NULL DEFAULT 1000000,
                     ADD COLUMN room_to        BIGINT NOT NULL DEFAULT 0,
                     ADD CONSTRAINT log_head_partitions_hold_something CHECK (partition_size > 0),
                     ADD CONSTRAINT log_head_keys_are_kept CHECK (room_to = 0 OR keys_to = head);

-- A row for each event for ever, whether it lies in `events` or in a file.
CREATE TABLE event_keys (
    id             UUID   NOT NULL,
    position       BIGINT NOT NULL,
    stream         TEXT   NOT NULL,
    version        BIGINT NOT NULL,
    type           TEXT   NOT NULL,
    correlation_id UUID   NOT NULL,
    CONSTRAINT event_keys_pk PRIMARY KEY (id),
    CONSTRAINT event_keys_stream_version_unique UNIQUE (stream, version)
);
CREATE INDEX event_keys_by_correlation ON event_keys (correlation_id, position);

-- Until the third step replaces the functions that append, a trigger keeps the keys of what comes.
CREATE FUNCTION keep_keys_of_events() RETURNS TRIGGER LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET jit = off AS $$
BEGIN
    INSERT INTO event_keys (id, position, stream, version, type, correlation_id)
    SELECT id, position, stream, version, type, correlation_id FROM fresh;
    RETURN NULL;
END
$$;
CREATE TRIGGER events_keep_keys AFTER INSERT ON events REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION keep_keys_of_events();
