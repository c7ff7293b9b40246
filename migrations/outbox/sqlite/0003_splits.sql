-- Consumers that are split by streams (event-store/src/consumer/split.rs).

-- How many parts a consumer has at the moment. One that was never split may have no row.
CREATE TABLE consumer_splits (
    consumer TEXT NOT NULL,
    parts INTEGER NOT NULL,
    CONSTRAINT consumer_splits_pk PRIMARY KEY (consumer)
) STRICT;

-- How far its parts were whenever their number changed: up to there their streams' events are handled,
-- whichever part those streams belong to now.
CREATE TABLE consumer_former_parts (
    consumer TEXT NOT NULL,
    edition INTEGER NOT NULL,
    part INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    position INTEGER NOT NULL,
    CONSTRAINT consumer_former_parts_pk PRIMARY KEY (consumer, edition, part)
) STRICT;

-- Rises with whatever makes what a replica knows of the rows above wrong.
ALTER TABLE consumer_checkpoints ADD COLUMN edition INTEGER NOT NULL DEFAULT 0;

-- A process that knows nothing of parts finds no checkpoint and would begin with the log's first event.
CREATE TRIGGER consumer_checkpoints_keep_splits BEFORE INSERT ON consumer_checkpoints
WHEN EXISTS (SELECT 1 FROM consumer_splits WHERE consumer = NEW.consumer AND parts > 1)
BEGIN
    SELECT RAISE(ABORT, 'the consumer is split into parts: it does not begin anew as a whole');
END;
