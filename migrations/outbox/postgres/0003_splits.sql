-- Consumers that are split by streams (event-store/src/consumer/split.rs).

-- How many parts a consumer has at the moment. One that was never split may have no row.
CREATE TABLE consumer_splits (
    consumer TEXT   NOT NULL,
    parts    BIGINT NOT NULL,
    CONSTRAINT consumer_splits_pk PRIMARY KEY (consumer)
);

-- How far its parts were whenever their number changed: up to there their streams' events are handled,
-- whichever part those streams belong to now.
CREATE TABLE consumer_former_parts (
    consumer TEXT   NOT NULL,
    edition  BIGINT NOT NULL,
    part     BIGINT NOT NULL,
    parts    BIGINT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT consumer_former_parts_pk PRIMARY KEY (consumer, edition, part)
);

-- Rises with whatever makes what a replica knows of the rows above wrong.
ALTER TABLE consumer_checkpoints ADD COLUMN edition BIGINT NOT NULL DEFAULT 0;

-- A process that knows nothing of parts finds no checkpoint and would begin with the log's first event.
CREATE FUNCTION refuse_to_begin_a_split_consumer() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM consumer_splits WHERE consumer = NEW.consumer AND parts > 1) THEN
        RAISE EXCEPTION 'consumer % is split into parts: it does not begin anew as a whole', NEW.consumer
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER consumer_checkpoints_keep_splits BEFORE INSERT ON consumer_checkpoints
    FOR EACH ROW EXECUTE FUNCTION refuse_to_begin_a_split_consumer();
