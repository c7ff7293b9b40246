-- Which folder is the archive: replicas with another one are refused.
CREATE TABLE archives (
    singleton  SMALLINT NOT NULL,
    archive_id UUID NOT NULL,
    CONSTRAINT archives_pk PRIMARY KEY (singleton),
    CONSTRAINT archives_one CHECK (singleton = 1)
);
