-- Sign-in with other OpenID Connect providers.

-- Who somebody is at a provider. Issuer and subject together name a person for ever.
CREATE TABLE oidc_identities (
    issuer    TEXT        NOT NULL,
    subject   TEXT        NOT NULL,
    user_id   UUID        NOT NULL,
    linked_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT oidc_identities_pk PRIMARY KEY (issuer, subject),
    CONSTRAINT oidc_identities_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX oidc_identities_by_user ON oidc_identities (user_id);

-- Sign-ins that are at the provider's just now. A row goes with its first use.
CREATE TABLE oidc_sign_ins (
    state_hash   BYTEA       NOT NULL,       -- SHA-256 of the state
    browser_hash BYTEA       NOT NULL,       -- SHA-256 of the cookie of the browser that began it
    provider     TEXT        NOT NULL,
    nonce        TEXT        NOT NULL,
    verifier     TEXT        NOT NULL,       -- PKCE
    return_to    TEXT,                       -- a path of ours; NULL: the session is the answer
    link_user    UUID       ,                -- whom the identity is linked to; NULL: whoever it is
    expires_at   TIMESTAMPTZ NOT NULL,
    CONSTRAINT oidc_sign_ins_pk PRIMARY KEY (state_hash),
    CONSTRAINT oidc_sign_ins_user_fk FOREIGN KEY (link_user) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX oidc_sign_ins_by_expiry ON oidc_sign_ins (expires_at);
CREATE INDEX oidc_sign_ins_by_user ON oidc_sign_ins (link_user);

-- What a browser that was sent back exchanges for its session. A row goes with its first use.
CREATE TABLE oidc_codes (
    code_hash    BYTEA       NOT NULL,       -- SHA-256 of the code
    browser_hash BYTEA       NOT NULL,       -- as the sign-in's
    user_id      UUID        NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    CONSTRAINT oidc_codes_pk PRIMARY KEY (code_hash),
    CONSTRAINT oidc_codes_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX oidc_codes_by_expiry ON oidc_codes (expires_at);
CREATE INDEX oidc_codes_by_user ON oidc_codes (user_id);
