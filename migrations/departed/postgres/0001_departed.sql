-- Whose accounts were deleted lately: an access token outlives its account by minutes, and an event
-- may be on its way, and neither may bring anything of the user back.
CREATE TABLE departed_users (
    user_id     UUID        NOT NULL,
    departed_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT departed_users_pk PRIMARY KEY (user_id)
);
CREATE INDEX departed_users_by_age ON departed_users (departed_at);
