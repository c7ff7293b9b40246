-- A key for each person whom events name: their personal fields are sealed under it before they leave
-- the service that writes them. Itself it is sealed under a master key that no database holds. Erasing
-- it leaves the row, which tells that nothing of this person can be read any more.
CREATE TABLE personal_keys (
    subject    TEXT        NOT NULL,
    id         UUID,
    sealed     TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    erased_at  TIMESTAMPTZ,
    erased_by  TEXT,
    reason     TEXT,
    -- Whether the log has the event that tells of the erasure.
    announced  BOOLEAN     NOT NULL DEFAULT FALSE,
    CONSTRAINT personal_keys_pk PRIMARY KEY (subject),
    CONSTRAINT personal_keys_sealed_or_erased
        CHECK ((erased_at IS NULL) = (sealed IS NOT NULL) AND (id IS NULL) = (sealed IS NULL))
);
CREATE INDEX personal_keys_unannounced ON personal_keys (subject)
    WHERE erased_at IS NOT NULL AND NOT announced;

-- Services read the table and change it by these alone, which work with the owner's rights: nobody
-- replaces a key, and an erased one does not come back.
CREATE FUNCTION log_personal_key(
    wanted TEXT, fresh_id UUID, fresh_key TEXT, OUT id UUID, OUT sealed TEXT)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    SELECT k.id, k.sealed INTO id, sealed FROM personal_keys k WHERE k.subject = wanted;
    IF NOT FOUND THEN
        INSERT INTO personal_keys (subject, id, sealed) VALUES (wanted, fresh_id, fresh_key)
            ON CONFLICT (subject) DO NOTHING;
        SELECT k.id, k.sealed INTO id, sealed FROM personal_keys k WHERE k.subject = wanted;
    END IF;
END
$$;

CREATE FUNCTION log_personal_erase(wanted TEXT, by TEXT, why TEXT) RETURNS VOID LANGUAGE sql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO personal_keys (subject, erased_at, erased_by, reason)
    VALUES (wanted, clock_timestamp(), by, why)
    ON CONFLICT (subject) DO UPDATE
    SET id = NULL, sealed = NULL, erased_at = excluded.erased_at, erased_by = by, reason = why
    WHERE personal_keys.erased_at IS NULL
$$;

CREATE FUNCTION log_personal_announced(wanted TEXT) RETURNS VOID LANGUAGE sql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE personal_keys SET announced = TRUE
    WHERE subject = wanted AND erased_at IS NOT NULL AND NOT announced
$$;
