-- Accounts, complete: recovery by mail, limits on guessing, accounts that are deleted. The last
-- three tables are those of the auth service, whose limits and courier work here, too.

CREATE INDEX users_administrators ON users (id) WHERE roles @> '["admin"]'::jsonb;

-- Ids of deleted accounts, for ever: a token must not bring them back. Nothing else is kept.
CREATE TABLE deleted_accounts (
    user_id    UUID        NOT NULL,
    deleted_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT deleted_accounts_pk PRIMARY KEY (user_id)
);

-- At most one way to a new password for each user: a newer one replaces the older.
CREATE TABLE password_resets (
    user_id    UUID        NOT NULL,
    token_hash BYTEA       NOT NULL,        -- SHA-256 of the token in the mail
    issued_at  TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT password_resets_pk PRIMARY KEY (user_id),
    CONSTRAINT password_resets_token_unique UNIQUE (token_hash),
    CONSTRAINT password_resets_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);

-- Mails to send. A row names the user and the kind; address and token are looked up and made when
-- it is sent, so neither lies here.
CREATE TABLE mails (
    id         UUID        NOT NULL,
    user_id    UUID        NOT NULL,
    kind       TEXT        NOT NULL,
    state      TEXT        NOT NULL,
    attempts   BIGINT      NOT NULL,
    due_at     TIMESTAMPTZ NOT NULL,        -- waiting: the next attempt; sending: when it counts as lost
    created_at TIMESTAMPTZ NOT NULL,
    ended_at   TIMESTAMPTZ,
    error      TEXT,                        -- of the last attempt
    CONSTRAINT mails_pk PRIMARY KEY (id),
    CONSTRAINT mails_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT mails_kind CHECK (kind IN ('password_reset')),
    CONSTRAINT mails_state CHECK (state IN ('waiting', 'sending', 'sent', 'failed', 'unknown'))
);
CREATE INDEX mails_by_due ON mails (due_at) WHERE state IN ('waiting', 'sending');
CREATE UNIQUE INDEX mails_one_waiting ON mails (user_id, kind) WHERE state = 'waiting';
CREATE INDEX mails_by_user ON mails (user_id);
CREATE INDEX mails_by_end ON mails (ended_at) WHERE ended_at IS NOT NULL;

-- Who tried what how often. Keys are hashes, so no address lies here.
CREATE TABLE attempts (
    subject       BYTEA       NOT NULL,     -- SHA-256 of the act and of whom it is counted for
    failures      BIGINT      NOT NULL,
    counted_until TIMESTAMPTZ NOT NULL,     -- the failures are forgotten then
    blocked_until TIMESTAMPTZ,
    trusted_until TIMESTAMPTZ,              -- this client address has opened this account
    expires_at    TIMESTAMPTZ NOT NULL,     -- the row goes then
    CONSTRAINT attempts_pk PRIMARY KEY (subject)
);
CREATE INDEX attempts_by_expiry ON attempts (expires_at);
