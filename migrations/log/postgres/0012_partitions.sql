-- The third step: `events` becomes a table that is partitioned by ranges of positions, and the table of before
-- its first partition, where it lies.
--
-- Locked meanwhile: nothing while the border is looked at, which reads the table once (seconds for each
-- million events); then everybody, for some milliseconds, or for five seconds where somebody holds the table
-- open: see 0010.
SET LOCAL lock_timeout = '5s';
ALTER TABLE events VALIDATE CONSTRAINT events_before_border;

-- In the order in which who removes rows, and who appends, ask for them. Of the head's table only the row is
-- held: who reads has `events` open when it comes to the head.
SELECT count(*) FROM (SELECT 1 FROM leases WHERE name = 'retention' FOR UPDATE) AS held;
SELECT count(*) FROM (SELECT 1 FROM log_head FOR UPDATE) AS held;

-- Which partitions there are and were. One made for the positions `first_position` to `last_position` is the
-- table `events_from_{first_position}`; they follow one another without a gap.
CREATE TABLE log_partitions (
    first_position BIGINT      NOT NULL,
    last_position  BIGINT      NOT NULL,
    made_at        TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    -- When it went, all of its events being in files.
    dropped_at     TIMESTAMPTZ,
    CONSTRAINT log_partitions_pk PRIMARY KEY (first_position),
    CONSTRAINT log_partitions_not_empty CHECK (last_position >= first_position)
);

-- The table of before gives its names away.
LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
DROP TRIGGER events_keep_keys ON events;
DROP FUNCTION keep_keys_of_events();
ALTER TABLE events DROP CONSTRAINT events_id_unique, DROP CONSTRAINT events_stream_version_unique;
DROP INDEX events_by_correlation;
ALTER TABLE events RENAME CONSTRAINT events_pk TO events_from_1_pk;
ALTER INDEX events_by_type RENAME TO events_from_1_by_type;
ALTER INDEX events_by_category RENAME TO events_from_1_by_category;
ALTER TABLE events RENAME TO events_from_1;

CREATE TABLE events (
    LIKE events_from_1 INCLUDING DEFAULTS,
    CONSTRAINT events_pk PRIMARY KEY (position),
    CONSTRAINT events_version_from_1 CHECK (version > 0)
) PARTITION BY RANGE (position);
CREATE INDEX events_by_type ON events (type, position);
CREATE INDEX events_by_category ON events ((split_part(stream, '-', 1)) COLLATE "C", position);

-- The archived events' keys are among all others now. The name stays, for who reads them and for processes of
-- the version before.
ALTER TABLE archived_keys RENAME TO archived_keys_of_before;
CREATE VIEW archived_keys AS
    SELECT id, position, stream, version, type, correlation_id FROM event_keys;

-- The one way by which a row leaves: it lies in a file, and its key is kept.
CREATE OR REPLACE FUNCTION refuse_loss_of_events() RETURNS TRIGGER LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM gone
               WHERE (SELECT k.id FROM event_keys k
                      WHERE k.id = gone.id AND k.position = gone.position) IS NULL
                  OR (SELECT r.last_position FROM archived_ranges r
                      WHERE r.first_position <= gone.position
                      ORDER BY r.first_position DESC LIMIT 1) >= gone.position IS NOT TRUE) THEN
        RAISE EXCEPTION 'stored events are never changed: % on events refused', TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;
-- Of a statement only the triggers of the table that it names are fired: each partition has both, too.
CREATE TRIGGER events_never_change BEFORE UPDATE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_events();
CREATE TRIGGER events_never_deleted AFTER DELETE ON events REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_loss_of_events();

-- The border is known to hold, so nothing is read here.
DO $$
DECLARE
    border  BIGINT;
    allowed RECORD;
BEGIN
    SELECT (regexp_match(pg_get_constraintdef(c.oid), '< ''?(\d+)'))[1]::BIGINT INTO STRICT border
      FROM pg_constraint c
     WHERE c.conrelid = 'events_from_1'::REGCLASS AND c.conname = 'events_before_border';
    EXECUTE format('ALTER TABLE events ATTACH PARTITION events_from_1 FOR VALUES FROM (1) TO (%s)', border);
    ALTER TABLE events_from_1 DROP CONSTRAINT events_before_border;
    INSERT INTO log_partitions (first_position, last_position) VALUES (1, border - 1);
    UPDATE log_head SET keys_to = head, room_to = border - 1;
    -- Whoever had rights on a table has them on what takes its place.
    FOR allowed IN
        SELECT place.name, a.grantee, a.privilege_type, a.is_grantable
          FROM (VALUES ('events_from_1', 'events'), ('archived_keys_of_before', 'archived_keys'),
                       ('archived_keys_of_before', 'event_keys'), ('archived_ranges', 'log_partitions'))
                   AS place (before, name)
          JOIN pg_class c ON c.oid = place.before::REGCLASS
         CROSS JOIN LATERAL aclexplode(c.relacl) a
         WHERE a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s%s', allowed.privilege_type, allowed.name,
            CASE allowed.grantee WHEN 0 THEN 'PUBLIC' ELSE allowed.grantee::REGROLE::TEXT END,
            CASE WHEN allowed.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END
$$;
DROP TABLE archived_keys_of_before;

-- Makes partitions until position `wanted` has one; the last position that has. One makes them at a time, and
-- whoever waited finds them. A table that is made apart and then attached keeps nobody from reading or
-- appending; it is empty, so nothing is looked at.
--
-- A transaction that holds the head may ask for it, and nobody who is in here asks for the head.
CREATE FUNCTION log_partition_to(wanted BIGINT) RETURNS BIGINT LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    last BIGINT;
    size BIGINT;
    made TEXT;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('banyan_log_partitions'));
    SELECT coalesce(max(p.last_position), 0) INTO last FROM log_partitions p;
    SELECT h.partition_size INTO size FROM log_head h;
    WHILE last < wanted LOOP
        made := 'events_from_' || last + 1;
        EXECUTE format(
            'CREATE TABLE %I (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
                              CONSTRAINT %I PRIMARY KEY (position))', made, made || '_pk');
        EXECUTE format('CREATE INDEX %I ON %I (type, position)', made || '_by_type', made);
        EXECUTE format('CREATE INDEX %I ON %I ((split_part(stream, ''-'', 1)) COLLATE "C", position)',
                       made || '_by_category', made);
        EXECUTE format('CREATE TRIGGER events_never_change BEFORE UPDATE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_events()', made);
        EXECUTE format('CREATE TRIGGER events_never_deleted AFTER DELETE ON %I REFERENCING OLD TABLE AS gone
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_loss_of_events()', made);
        EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       made, last + 1, last + size + 1);
        INSERT INTO log_partitions (first_position, last_position) VALUES (last + 1, last + size);
        last := last + size;
    END LOOP;
    RETURN last;
END
$$;

-- Makes partitions until `ahead` of them lie beyond the head; how many it made. Whoever may append may call
-- it: more than ten are not made, and no more than are missing.
CREATE FUNCTION log_make_partitions(ahead BIGINT) RETURNS BIGINT LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    made BIGINT := 0;
    last BIGINT := log_partition_to(0);
BEGIN
    WHILE (SELECT count(*) FROM log_partitions p WHERE p.first_position > (SELECT h.head FROM log_head h))
          < least(ahead, 10) LOOP
        last := log_partition_to(last + 1);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the oldest partition if all of its events lie in files: 1 where it did, 0 where there is none, and
-- NULL where somebody held the table and it did not wait: all others would have waited behind it.
CREATE FUNCTION log_drop_partition() RETURNS BIGINT LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    oldest  BIGINT;
    has_any BOOLEAN;
BEGIN
    SELECT p.first_position INTO oldest FROM log_partitions p
     WHERE p.dropped_at IS NULL AND p.last_position <= (SELECT h.archived_to FROM log_head h)
     ORDER BY p.first_position LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', 'events_from_' || oldest) INTO has_any;
    IF has_any THEN
        RAISE EXCEPTION 'stored events are never changed: DROP of events_from_% refused', oldest
            USING ERRCODE = 'restrict_violation';
    END IF;
    EXECUTE format('DROP TABLE %I', 'events_from_' || oldest);
    UPDATE log_partitions SET dropped_at = clock_timestamp() WHERE first_position = oldest;
    RETURN 1;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END
$$;

-- The three functions that append: ids and versions are looked up among the keys, which have those of all
-- events, and are written beside them.
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
        -- Of one in a file only the key is here: its payload is not compared.
        SELECT k.position, k.version,
               k.stream = entry.stream AND k.type = entry.type
               AND (entry."anyVersion" OR k.version = entry.version)
               AND coalesce((SELECT e.payload = entry.payload FROM events e
                             WHERE e.position = k.position), TRUE) AS same
          INTO stored FROM event_keys k WHERE k.id = entry.id;
        IF FOUND THEN
            IF NOT stored.same THEN
                RAISE EXCEPTION 'refused' USING ERRCODE = 'BA001', DETAIL = jsonb_build_object(
                    'reason', 'id_reused', 'id', entry.id, 'position', stored.position)::TEXT;
            END IF;
            appended := appended || jsonb_build_array(
                jsonb_build_array(stored.position, stored.version, TRUE));
            CONTINUE;
        END IF;
        SELECT coalesce(max(k.version), 0) INTO actual FROM event_keys k WHERE k.stream = entry.stream;
        IF NOT entry."anyVersion" AND entry.version <> actual + 1 THEN
            RAISE EXCEPTION 'refused' USING ERRCODE = 'BA001', DETAIL = jsonb_build_object(
                'reason', CASE WHEN entry.version > actual + 1 THEN 'ahead' ELSE 'conflict' END,
                'stream', entry.stream, 'version', entry.version, 'actual', actual)::TEXT;
        END IF;
        head := head + 1;
        INSERT INTO event_keys (id, position, stream, version, type, correlation_id)
        VALUES (entry.id, head, entry.stream, actual + 1, entry.type, entry."correlationId");
        INSERT INTO events (position, id, stream, version, type, aggregate_id, schema_version, payload,
                            occurred_at, correlation_id, causation_id, saga_id, step, service_id,
                            traceparent)
        VALUES (head, entry.id, entry.stream, actual + 1, entry.type, entry."aggregateId",
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
    head_now  BIGINT;
    room      BIGINT;
    head_most BIGINT;
    answers   JSONB;
    one_batch JSONB;
    one       RECORD;
    detail    TEXT;
BEGIN
    SELECT h.epoch, h.head, h.room_to INTO epoch_now, head_was, room FROM log_head h FOR UPDATE;
    head_now := head_was;
    SELECT head_was + coalesce(sum(jsonb_array_length(b.value)), 0) INTO head_most
      FROM jsonb_array_elements(batches) AS b (value);
    IF head_most > room THEN
        room := log_partition_to(head_most);
    END IF;

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
                   (SELECT max(k.version) FROM event_keys k WHERE k.stream = s.stream), 0) AS version
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
                            WHERE (SELECT k.id FROM event_keys k WHERE k.id = placed.id) IS NOT NULL)
           AND (SELECT count(*) = count(DISTINCT id) FROM placed) AS regular
    ), keyed AS (
        INSERT INTO event_keys (id, position, stream, version, type, correlation_id)
        SELECT id, position, stream, next_version, type, "correlationId"
          FROM placed CROSS JOIN verdict WHERE regular ORDER BY position
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
        UPDATE log_head SET head = head_now, keys_to = head_now, room_to = room;
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
    head_after BIGINT;
    room       BIGINT;
    fits       BOOLEAN;
BEGIN
    SELECT h.head, h.room_to INTO head_before, room FROM log_head h FOR UPDATE;
    head_after := head_before + cardinality(ids);
    SELECT array_agg(s.newest ORDER BY s.number),
           bool_and(first_versions[s.number] IS NULL OR first_versions[s.number] = s.newest + 1)
      INTO versions_before, fits
      FROM (SELECT number, coalesce((SELECT max(k.version) FROM event_keys k WHERE k.stream = name), 0)
                   AS newest
              FROM unnest(stream_names) WITH ORDINALITY AS named (name, number)) s;
    IF NOT fits THEN
        head_before := NULL;
        versions_before := NULL;
        RETURN;
    END IF;
    IF head_after > room THEN
        room := log_partition_to(head_after);
    END IF;
    INSERT INTO event_keys (id, position, stream, version, type, correlation_id)
    SELECT id, head_before + number, stream_names[stream_number],
           versions_before[stream_number] + stream_place, type, correlation_id
      FROM unnest(ids, stream_numbers, stream_places, types, correlation_ids)
           WITH ORDINALITY AS given (id, stream_number, stream_place, type, correlation_id, number);
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
    UPDATE log_head SET head = head_after, keys_to = head_after, room_to = room;
    PERFORM pg_notify('banyan_log', head_after::TEXT);
END
$$;
