-- How often a player's scores were set back to nothing, and when last: what was earned or imported
-- before that does not come back.
ALTER TABLE players ADD COLUMN resets BIGINT NOT NULL DEFAULT 0;
ALTER TABLE players ADD COLUMN reset_at TIMESTAMPTZ;

-- One line for each player and board: all time, each day, each week, per quiz mode. `board` is
-- domain::Board::id. `base` came by import (as of `base_at`), `points` were earned by answers,
-- provisional ones included, `bonus` by badges. `rank_key` is domain::Entry::key: sorted as bytes
-- it is the board's order. Replaces `entries`, whose rows are moved here at the start.
CREATE TABLE standings (
    user_id    UUID        NOT NULL,
    board      BIGINT      NOT NULL,
    base       BIGINT      NOT NULL DEFAULT 0,
    base_at    TIMESTAMPTZ,
    points     BIGINT      NOT NULL DEFAULT 0,
    bonus      BIGINT      NOT NULL DEFAULT 0,
    score      BIGINT      NOT NULL,
    reached_at TIMESTAMPTZ NOT NULL,
    rank_key   BYTEA       NOT NULL,
    CONSTRAINT standings_pk PRIMARY KEY (user_id, board),
    CONSTRAINT standings_score_is_the_sum CHECK (score = base + points + bonus)
);
CREATE UNIQUE INDEX standings_by_rank ON standings (board, rank_key);

-- How many stand where, so that a place is found without counting everybody above: a counted tree
-- of three levels. A node counts the lines of its board from `first_key` to the next node of its
-- level; every node's `first_key` is one of the level below, too. A board has no nodes at all, or
-- they count exactly. Only `members` changes, often and on few rows: room in the page keeps the
-- indexes out of it.
CREATE TABLE rank_nodes (
    id        BIGINT GENERATED ALWAYS AS IDENTITY,
    board     BIGINT NOT NULL,
    level     BIGINT NOT NULL,
    first_key BYTEA  NOT NULL,
    members   BIGINT NOT NULL,
    CONSTRAINT rank_nodes_pk PRIMARY KEY (id),
    CONSTRAINT rank_nodes_members_not_negative CHECK (members >= 0)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX rank_nodes_by_key ON rank_nodes (board, level, first_key);

-- Badges that were rewarded, so that each is once.
CREATE TABLE bonuses (
    user_id   UUID   NOT NULL,
    answer_id UUID   NOT NULL,
    badge_id  TEXT   NOT NULL,
    points    BIGINT NOT NULL,
    CONSTRAINT bonuses_pk PRIMARY KEY (user_id, answer_id, badge_id)
);
