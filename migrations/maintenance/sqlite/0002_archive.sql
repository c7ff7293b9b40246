-- Which folder is the archive: replicas with another one are refused.
CREATE TABLE archives (
    singleton  INTEGER NOT NULL,
    archive_id BLOB NOT NULL,
    CONSTRAINT archives_pk PRIMARY KEY (singleton),
    CONSTRAINT archives_one CHECK (singleton = 1)
) STRICT;
