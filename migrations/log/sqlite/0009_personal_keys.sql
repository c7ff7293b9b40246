-- A key for each person whom events name: their personal fields are sealed under it before they leave
-- the service that writes them. Itself it is sealed under a master key that no database holds. Erasing
-- it leaves the row, which tells that nothing of this person can be read any more.
CREATE TABLE personal_keys (
    subject    TEXT    NOT NULL,
    id         BLOB,
    sealed     TEXT,
    created_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    erased_at  INTEGER,
    erased_by  TEXT,
    reason     TEXT,
    -- Whether the log has the event that tells of the erasure.
    announced  INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT personal_keys_pk PRIMARY KEY (subject),
    CONSTRAINT personal_keys_sealed_or_erased
        CHECK ((erased_at IS NULL) = (sealed IS NOT NULL) AND (id IS NULL) = (sealed IS NULL))
) STRICT;
CREATE INDEX personal_keys_unannounced ON personal_keys (subject)
    WHERE erased_at IS NOT NULL AND announced = 0;
