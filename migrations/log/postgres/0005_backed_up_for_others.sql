-- Who takes backups is a service like the others, with no right on the log's tables: it tells how
-- far they reach by this function, which works with the owner's rights. The note never moves back,
-- never beyond the head, and never from one identity of the log to another.
CREATE FUNCTION log_backed_up(wanted_epoch UUID, wanted_position BIGINT) RETURNS VOID LANGUAGE sql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE log_head SET backed_up_to = wanted_position
    WHERE epoch = wanted_epoch AND backed_up_to < wanted_position AND head >= wanted_position
$$;
