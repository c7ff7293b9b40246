-- Whoever appends needs no right on the tables: log_append works with its owner's. A service can then
-- add events and read them, and can neither write one past the checks nor move the head.
--
-- The search path is fixed, with temporary tables last, since a caller could otherwise put tables of
-- its own in front of the log's.
ALTER FUNCTION log_append(JSONB) SECURITY DEFINER SET search_path = public, pg_temp;
