-- The monolith's version as it was taken over last: its times may repeat where its clock is set back.
ALTER TABLE questions ADD COLUMN legacy_version BIGINT;
