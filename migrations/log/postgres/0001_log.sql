-- The log: every event in one total order. Positions are contiguous from 1 and in commit order,
-- because every append holds the one row of log_head until its transaction ends.

CREATE TABLE log_head (
    only_row     BOOLEAN NOT NULL DEFAULT TRUE,
    epoch        UUID    NOT NULL DEFAULT gen_random_uuid(),
    head         BIGINT  NOT NULL DEFAULT 0,
    -- Up to where a backup of this log is known to be safe; written by whoever takes backups.
    backed_up_to BIGINT  NOT NULL DEFAULT 0,
    CONSTRAINT log_head_pk PRIMARY KEY (only_row),
    CONSTRAINT log_head_has_one_row CHECK (only_row)
);
INSERT INTO log_head DEFAULT VALUES;

CREATE TABLE events (
    position       BIGINT      NOT NULL,
    id             UUID        NOT NULL,
    stream         TEXT        NOT NULL,
    version        BIGINT      NOT NULL,
    type           TEXT        NOT NULL,
    aggregate_id   TEXT        NOT NULL,
    schema_version BIGINT      NOT NULL,
    payload        JSONB       NOT NULL,
    occurred_at    TIMESTAMPTZ NOT NULL,
    correlation_id UUID        NOT NULL,
    causation_id   UUID,
    saga_id        UUID,
    step           TEXT,
    service_id     TEXT        NOT NULL,
    traceparent    TEXT,
    CONSTRAINT events_pk PRIMARY KEY (position),
    CONSTRAINT events_id_unique UNIQUE (id),
    CONSTRAINT events_stream_version_unique UNIQUE (stream, version),
    CONSTRAINT events_version_from_1 CHECK (version > 0)
);
CREATE INDEX events_by_type ON events (type, position);
CREATE INDEX events_by_correlation ON events (correlation_id, position);

CREATE FUNCTION refuse_change_of_events() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'stored events are never changed: % on events refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_events();

-- One caller's batch, entry by entry, with a reason where it is refused. Raises BA001 with the
-- reason as DETAIL; log_append catches it, which takes back this batch and no other.
CREATE FUNCTION log_append_batch(entries JSONB, INOUT head BIGINT, OUT appended JSONB)
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
        IF FOUND THEN
            IF NOT stored.same THEN
                RAISE EXCEPTION 'refused' USING ERRCODE = 'BA001', DETAIL = jsonb_build_object(
                    'reason', 'id_reused', 'id', entry.id, 'position', stored.position)::TEXT;
            END IF;
            appended := appended || jsonb_build_array(
                jsonb_build_array(stored.position, stored.version, TRUE));
            CONTINUE;
        END IF;
        SELECT coalesce(max(e.version), 0) INTO actual FROM events e WHERE e.stream = entry.stream;
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

-- Appends many callers' batches: [[{event, anyVersion}, …], …]. The answer has one element per
-- batch, {"appended": [[position, version, alreadyThere], …]} or {"refused": {…}}.
--
-- The usual group, in which nothing is repeated and every version fits, takes one set-based
-- statement; any other is done again batch by batch. Each statement of a VOLATILE function sees
-- what was committed before it began, so everything after the row lock sees all earlier appends.
-- The plan is made while the log is small and kept while it grows, so what looks into events is a
-- scalar subquery over an index, never a join that the planner could turn into a scan of the log.
-- Compiling a plan (jit) would take a hundred times as long as running it.
CREATE FUNCTION log_append(batches JSONB) RETURNS JSONB LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    epoch_now UUID;
    head_was  BIGINT;
    head_now  BIGINT;
    answers   JSONB;
    one_batch JSONB;
    one       RECORD;
    detail    TEXT;
BEGIN
    SELECT h.epoch, h.head INTO epoch_now, head_was FROM log_head h FOR UPDATE;
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
                   (SELECT max(e.version) FROM events e WHERE e.stream = s.stream), 0) AS version
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
           AND (SELECT count(*) = count(DISTINCT id) FROM placed) AS regular
    ), inserted AS (
        INSERT INTO events
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

-- Who forwards the log, and how far it got.
CREATE TABLE leases (
    name       TEXT        NOT NULL,
    holder     UUID        NOT NULL,
    token      BIGINT      NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT leases_pk PRIMARY KEY (name)
);
CREATE TABLE publisher_cursors (
    bus        TEXT        NOT NULL,
    epoch      UUID        NOT NULL,
    position   BIGINT      NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT publisher_cursors_pk PRIMARY KEY (bus)
);
