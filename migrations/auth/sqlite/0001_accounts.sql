-- Times are microseconds since the Unix epoch.
-- Accounts, and the refresh tokens that keep them logged in.

CREATE TABLE users (
    id                BLOB        NOT NULL,
    email             TEXT,                 -- as typed; NULL for guests and for users taken in by their token
    email_key         TEXT,                 -- lower case; what logins and uniqueness go by
    password_hash     TEXT,                 -- argon2id, PHC string
    display_name      TEXT        NOT NULL,
    roles             TEXT        NOT NULL, -- ["user"]
    created_at        INTEGER     NOT NULL,
    updated_at        INTEGER     NOT NULL,
    -- An import may write a row only while it is as the last import left it.
    legacy_updated_at INTEGER,              -- the legacy row's updated_at as imported; NULL for rows born here
    changed_here_at   INTEGER,              -- the first change after the import
    CONSTRAINT users_pk PRIMARY KEY (id),
    CONSTRAINT users_email_key_unique UNIQUE (email_key),
    CONSTRAINT users_email_complete CHECK ((email IS NULL) = (email_key IS NULL))
) STRICT;

CREATE TABLE refresh_tokens (
    token_hash BLOB        NOT NULL,        -- SHA-256 of the opaque token
    user_id    BLOB        NOT NULL,
    family     BLOB        NOT NULL,        -- the login that the chain of rotations began with
    issued_at  INTEGER     NOT NULL,
    expires_at INTEGER     NOT NULL,
    used_at    INTEGER,                     -- rotated; a second use ends the whole family
    CONSTRAINT refresh_tokens_pk PRIMARY KEY (token_hash),
    CONSTRAINT refresh_tokens_user_fk FOREIGN KEY (user_id) REFERENCES users (id)
) STRICT;
CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- Where an import that was interrupted goes on; no row: the next one starts at the beginning.
CREATE TABLE import_progress (
    source   TEXT NOT NULL,
    after_id BLOB NOT NULL,                 -- the last row that was taken over
    CONSTRAINT import_progress_pk PRIMARY KEY (source)
) STRICT;
