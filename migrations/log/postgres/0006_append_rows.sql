-- Appends events of which each is new and follows its stream's newest version, as nearly all do: one
-- INSERT from arrays, without a look for their ids, since the table refuses one that it has. Whoever
-- calls it decides by `log_append` what becomes of a group that this one cannot take.
--
-- `stream_names` are the streams, each once; `first_versions` what their first event here must be,
-- or NULL where any will do. An event names its stream by `stream_numbers`, counted from 1, and its
-- place among its stream's events here by `stream_places`, counted from 1. All arrays but those two are as
-- long as the batch. NULL when a version does not fit: nothing was appended then.
--
-- The newest versions are looked up by one scalar subquery a stream over the index, as in log_append,
-- and for the same reason.
CREATE FUNCTION log_append_rows(
    stream_names TEXT[], first_versions BIGINT[],
    ids UUID[], stream_numbers BIGINT[], stream_places BIGINT[], types TEXT[], aggregate_ids TEXT[],
    schema_versions BIGINT[], payloads TEXT[], occurred TIMESTAMPTZ[], correlation_ids UUID[],
    causation_ids UUID[], saga_ids UUID[], steps TEXT[], service_ids TEXT[], traceparents TEXT[],
    OUT head_before BIGINT, OUT versions_before BIGINT[]
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    fits BOOLEAN;
BEGIN
    SELECT h.head INTO head_before FROM log_head h FOR UPDATE;
    SELECT array_agg(s.newest ORDER BY s.number),
           bool_and(first_versions[s.number] IS NULL OR first_versions[s.number] = s.newest + 1)
      INTO versions_before, fits
      FROM (SELECT number, coalesce((SELECT max(e.version) FROM events e WHERE e.stream = name), 0)
                   AS newest
              FROM unnest(stream_names) WITH ORDINALITY AS named (name, number)) s;
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
