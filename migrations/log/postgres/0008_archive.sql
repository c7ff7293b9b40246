-- What the log has given away to the archive's files: closed ranges whose rows are gone, from position 1 on
-- without a gap. What must be known of an event for ever stays here: its id, so that a repeat is told, its
-- place in its stream, and what it is found by.

-- `archived_to`: up to here events lie in files alone. `keys_to`: up to here their keys are kept; an append
-- looks for an id among them only where there are any. Keys come first, in a transaction of their own: who
-- repeats an event while its row is being removed finds the key, and waits for nobody.
ALTER TABLE log_head ADD COLUMN archived_to BIGINT NOT NULL DEFAULT 0,
                     ADD COLUMN keys_to     BIGINT NOT NULL DEFAULT 0;

CREATE TABLE archived_ranges (
    first_position BIGINT      NOT NULL,
    last_position  BIGINT      NOT NULL,
    -- Where the archive is for who removed the rows, and the file below it, which may hold more than the range.
    folder         TEXT        NOT NULL,
    file           TEXT        NOT NULL,
    bytes          BIGINT      NOT NULL,
    sha256         TEXT        NOT NULL,
    -- {"type": [events, last position]}
    types          JSONB       NOT NULL,
    categories     JSONB       NOT NULL,
    -- Streams that begin in it.
    streams        BIGINT      NOT NULL,
    -- When its first event happened, and when the log took its last.
    first_at       TIMESTAMPTZ NOT NULL,
    taken_to       TIMESTAMPTZ NOT NULL,
    noted_at       TIMESTAMPTZ NOT NULL,
    removed_at     TIMESTAMPTZ,
    CONSTRAINT archived_ranges_pk PRIMARY KEY (first_position),
    CONSTRAINT archived_ranges_not_empty CHECK (last_position >= first_position)
);

CREATE TABLE archived_keys (
    id             UUID   NOT NULL,
    position       BIGINT NOT NULL,
    stream         TEXT   NOT NULL,
    version        BIGINT NOT NULL,
    type           TEXT   NOT NULL,
    correlation_id UUID   NOT NULL,
    CONSTRAINT archived_keys_pk PRIMARY KEY (id),
    CONSTRAINT archived_keys_stream_version_unique UNIQUE (stream, version)
);
CREATE INDEX archived_keys_by_correlation ON archived_keys (correlation_id, position);

-- The one way by which a row leaves: its key is kept.
DROP TRIGGER events_never_change ON events;
CREATE TRIGGER events_never_change BEFORE UPDATE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_events();
CREATE FUNCTION refuse_loss_of_events() RETURNS TRIGGER LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM gone
               WHERE (SELECT k.id FROM archived_keys k
                      WHERE k.id = gone.id AND k.position = gone.position) IS NULL) THEN
        RAISE EXCEPTION 'stored events are never changed: % on events refused', TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER events_never_deleted AFTER DELETE ON events REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_loss_of_events();

-- How far each consumer says that it is: nothing above the slowest is removed. Services tell by this
-- function, which works with the owner's rights.
CREATE TABLE log_readers (
    reader      TEXT        NOT NULL,
    epoch       UUID        NOT NULL,
    position    BIGINT      NOT NULL,
    reported_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT log_readers_pk PRIMARY KEY (reader)
);
CREATE FUNCTION log_reached(readers TEXT[], epochs UUID[], positions BIGINT[]) RETURNS VOID LANGUAGE sql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO log_readers (reader, epoch, position, reported_at)
    SELECT told.reader, told.epoch, told.position, clock_timestamp()
      FROM unnest(readers, epochs, positions) AS told (reader, epoch, position)
    ON CONFLICT (reader) DO UPDATE
    SET epoch = excluded.epoch, position = excluded.position, reported_at = excluded.reported_at
$$;

-- The three functions that append, as they were, with a look among the keys.
CREATE OR REPLACE FUNCTION log_append_batch(entries JSONB, INOUT head BIGINT, OUT appended JSONB)
LANGUAGE plpgsql AS $$
DECLARE
    entry  RECORD;
    stored RECORD;
    actual BIGINT;
BEGIN
    appended := '[]';
    FOR entry IN
        SELECT x.* FROM jsonb_array_elements(entries) WITH ORDINALITY AS e (value, number)
        CROSS JOIN LATERAL jsonb_to_record(e.value) AS x (
            "anyVersion" BOOLEAN, id UUID, stream TEXT, version BIGINT, type TEXT,
            "aggregateId" TEXT, "schemaVersion" BIGINT, payload JSONB, "timestamp" TIMESTAMPTZ,
            "correlationId" UUID, "causationId" UUID, "sagaId" UUID, step TEXT,
            "serviceId" TEXT, traceparent TEXT)
        ORDER BY e.number
    LOOP
        SELECT e.position, e.version,
               e.stream = entry.stream AND e.type = entry.type AND e.payload = entry.payload
               AND (entry."anyVersion" OR e.version = entry.version) AS same
          INTO stored FROM events e WHERE e.id = entry.id;
        IF NOT FOUND THEN
            -- Of one in a file only the key is here.
            SELECT k.position, k.version,
                   k.stream = entry.stream AND k.type = entry.type
                   AND (entry."anyVersion" OR k.version = entry.version) AS same
              INTO stored FROM archived_keys k WHERE k.id = entry.id;
        END IF;
        IF FOUND THEN
            IF NOT stored.same THEN
                RAISE EXCEPTION 'refused' USING ERRCODE = 'BA001', DETAIL = jsonb_build_object(
                    'reason', 'id_reused', 'id', entry.id, 'position', stored.position)::TEXT;
            END IF;
            appended := appended || jsonb_build_array(
                jsonb_build_array(stored.position, stored.version, TRUE));
            CONTINUE;
        END IF;
        actual := coalesce(
            (SELECT max(e.version) FROM events e WHERE e.stream = entry.stream),
            (SELECT max(k.version) FROM archived_keys k WHERE k.stream = entry.stream), 0);
        IF NOT entry."anyVersion" AND entry.version <> actual + 1 THEN
            RAISE EXCEPTION 'refused' USING ERRCODE = 'BA001', DETAIL = jsonb_build_object(
                'reason', CASE WHEN entry.version > actual + 1 THEN 'ahead' ELSE 'conflict' END,
                'stream', entry.stream, 'version', entry.version, 'actual', actual)::TEXT;
        END IF;
        head := head + 1;
        INSERT INTO events VALUES (
            head, entry.id, entry.stream, actual + 1, entry.type, entry."aggregateId",
            entry."schemaVersion", entry.payload, entry."timestamp", entry."correlationId",
            entry."causationId", entry."sagaId", entry.step, entry."serviceId", entry.traceparent);
        appended := appended || jsonb_build_array(jsonb_build_array(head, actual + 1, FALSE));
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION log_append(batches JSONB) RETURNS JSONB LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    epoch_now UUID;
    head_was  BIGINT;
    keys_are  BIGINT;
    head_now  BIGINT;
    answers   JSONB;
    one_batch JSONB;
    one       RECORD;
    detail    TEXT;
BEGIN
    SELECT h.epoch, h.head, h.keys_to INTO epoch_now, head_was, keys_are FROM log_head h FOR UPDATE;
    head_now := head_was;

    WITH entries AS MATERIALIZED (
        SELECT b.number AS batch, e.number AS number, x.*
          FROM jsonb_array_elements(batches) WITH ORDINALITY AS b (value, number)
         CROSS JOIN LATERAL jsonb_array_elements(b.value) WITH ORDINALITY AS e (value, number)
         CROSS JOIN LATERAL jsonb_to_record(e.value) AS x (
            "anyVersion" BOOLEAN, id UUID, stream TEXT, version BIGINT, type TEXT,
            "aggregateId" TEXT, "schemaVersion" BIGINT, payload JSONB, "timestamp" TIMESTAMPTZ,
            "correlationId" UUID, "causationId" UUID, "sagaId" UUID, step TEXT,
            "serviceId" TEXT, traceparent TEXT)
    ), streams AS MATERIALIZED (
        SELECT s.stream, coalesce(
                   (SELECT max(e.version) FROM events e WHERE e.stream = s.stream),
                   (SELECT max(k.version) FROM archived_keys k WHERE k.stream = s.stream), 0)
               AS version
          FROM (SELECT DISTINCT stream FROM entries) s
    ), placed AS MATERIALIZED (
        SELECT entries.*, head_was + row_number() OVER (ORDER BY batch, number) AS position,
               streams.version + row_number() OVER (PARTITION BY stream ORDER BY batch, number)
                   AS next_version
          FROM entries JOIN streams USING (stream)
    ), verdict AS MATERIALIZED (
        SELECT NOT EXISTS (SELECT 1 FROM placed
                            WHERE NOT "anyVersion" AND version <> next_version)
           AND NOT EXISTS (SELECT 1 FROM placed
                            WHERE (SELECT e.id FROM events e WHERE e.id = placed.id) IS NOT NULL)
           AND (keys_are = 0 OR NOT EXISTS (SELECT 1 FROM placed
                WHERE (SELECT k.id FROM archived_keys k WHERE k.id = placed.id) IS NOT NULL))
           AND (SELECT count(*) = count(DISTINCT id) FROM placed) AS regular
    ), inserted AS (
        INSERT INTO events (position, id, stream, version, type, aggregate_id, schema_version,
                            payload, occurred_at, correlation_id, causation_id, saga_id, step,
                            service_id, traceparent)
        SELECT position, id, stream, next_version, type, "aggregateId", "schemaVersion", payload,
               "timestamp", "correlationId", "causationId", "sagaId", step, "serviceId", traceparent
          FROM placed CROSS JOIN verdict WHERE regular ORDER BY position
        RETURNING position
    ), accepted AS (
        SELECT batch, jsonb_build_object('appended', jsonb_agg(
                   jsonb_build_array(position, next_version, FALSE) ORDER BY number)) AS answer
          FROM placed GROUP BY batch
    )
    SELECT CASE WHEN regular THEN (SELECT jsonb_agg(a.answer ORDER BY a.batch) FROM accepted a) END,
           head_was + (SELECT count(*) FROM inserted)
      INTO answers, head_now FROM verdict;

    IF answers IS NULL THEN
        answers := '[]';
        FOR one_batch IN SELECT value FROM jsonb_array_elements(batches) WITH ORDINALITY ORDER BY ordinality
        LOOP
            BEGIN
                SELECT * INTO one FROM log_append_batch(one_batch, head_now);
                head_now := one.head;
                answers := answers || jsonb_build_array(jsonb_build_object('appended', one.appended));
            EXCEPTION WHEN SQLSTATE 'BA001' THEN
                GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
                answers := answers || jsonb_build_array(jsonb_build_object('refused', detail::JSONB));
            END;
        END LOOP;
    END IF;

    IF head_now > head_was THEN
        UPDATE log_head SET head = head_now;
        PERFORM pg_notify('banyan_log', head_now::TEXT);
    END IF;
    RETURN jsonb_build_object('epoch', epoch_now, 'head', head_now, 'batches', answers);
END
$$;

CREATE OR REPLACE FUNCTION log_append_rows(
    stream_names TEXT[], first_versions BIGINT[],
    ids UUID[], stream_numbers BIGINT[], stream_places BIGINT[], types TEXT[], aggregate_ids TEXT[],
    schema_versions BIGINT[], payloads TEXT[], occurred TIMESTAMPTZ[], correlation_ids UUID[],
    causation_ids UUID[], saga_ids UUID[], steps TEXT[], service_ids TEXT[], traceparents TEXT[],
    OUT head_before BIGINT, OUT versions_before BIGINT[]
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    keys_are BIGINT;
    fits     BOOLEAN;
BEGIN
    SELECT h.head, h.keys_to INTO head_before, keys_are FROM log_head h FOR UPDATE;
    SELECT array_agg(s.newest ORDER BY s.number),
           bool_and(first_versions[s.number] IS NULL OR first_versions[s.number] = s.newest + 1)
      INTO versions_before, fits
      FROM (SELECT number, coalesce((SELECT max(e.version) FROM events e WHERE e.stream = name), 0)
                   AS newest
              FROM unnest(stream_names) WITH ORDINALITY AS named (name, number)) s;
    -- A statement of its own: a question that depends on `keys_are` is planned anew each time.
    IF keys_are > 0 THEN
        SELECT array_agg(v.newest ORDER BY v.number),
               bool_and(first_versions[v.number] IS NULL OR first_versions[v.number] = v.newest + 1)
               AND NOT EXISTS (
                   SELECT 1 FROM unnest(ids) AS given (id)
                   WHERE (SELECT k.id FROM archived_keys k WHERE k.id = given.id) IS NOT NULL)
          INTO versions_before, fits
          FROM (SELECT number, CASE WHEN known > 0 THEN known ELSE coalesce(
                           (SELECT max(k.version) FROM archived_keys k
                            WHERE k.stream = stream_names[number]), 0) END AS newest
                  FROM unnest(versions_before) WITH ORDINALITY AS before (known, number)) v;
    END IF;
    IF NOT fits THEN
        head_before := NULL;
        versions_before := NULL;
        RETURN;
    END IF;
    INSERT INTO events (position, id, stream, version, type, aggregate_id, schema_version, payload,
                        occurred_at, correlation_id, causation_id, saga_id, step, service_id,
                        traceparent)
    SELECT head_before + number, id, stream_names[stream_number],
           versions_before[stream_number] + stream_place, type, aggregate_id, schema_version,
           payload::JSONB, occurred_at, correlation_id, causation_id, saga_id, step, service_id,
           traceparent
      FROM unnest(ids, stream_numbers, stream_places, types, aggregate_ids, schema_versions, payloads,
                  occurred, correlation_ids, causation_ids, saga_ids, steps, service_ids, traceparents)
           WITH ORDINALITY AS given (id, stream_number, stream_place, type, aggregate_id,
                  schema_version, payload, occurred_at, correlation_id, causation_id, saga_id, step,
                  service_id, traceparent, number);
    UPDATE log_head SET head = head_before + cardinality(ids);
    PERFORM pg_notify('banyan_log', (head_before + cardinality(ids))::TEXT);
END
$$;
