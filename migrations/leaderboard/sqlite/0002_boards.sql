-- Times are microseconds since the Unix epoch.

-- How often a player's scores were set back to nothing, and when last: what was earned or imported
-- before that does not come back.
ALTER TABLE players ADD COLUMN resets INTEGER NOT NULL DEFAULT 0;
ALTER TABLE players ADD COLUMN reset_at INTEGER;

-- One line for each player and board: all time, each day, each week, per quiz mode. `board` is
-- domain::Board::id. `base` came by import (as of `base_at`), `points` were earned by answers,
-- provisional ones included, `bonus` by badges. `rank_key` is domain::Entry::key: sorted as bytes
-- it is the board's order. Replaces `entries`, whose rows are moved here at the start.
CREATE TABLE standings (
    user_id    BLOB    NOT NULL,
    board      INTEGER NOT NULL,
    base       INTEGER NOT NULL DEFAULT 0,
    base_at    INTEGER,
    points     INTEGER NOT NULL DEFAULT 0,
    bonus      INTEGER NOT NULL DEFAULT 0,
    score      INTEGER NOT NULL,
    reached_at INTEGER NOT NULL,
    rank_key   BLOB    NOT NULL,
    CONSTRAINT standings_pk PRIMARY KEY (user_id, board),
    CONSTRAINT standings_score_is_the_sum CHECK (score = base + points + bonus)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX standings_by_rank ON standings (board, rank_key);

-- How many stand where, so that a place is found without counting everybody above: a counted tree
-- of three levels. A node counts the lines of its board from `first_key` to the next node of its
-- level; every node's `first_key` is one of the level below, too. A board has no nodes at all, or
-- they count exactly.
CREATE TABLE rank_nodes (
    id        INTEGER NOT NULL,
    board     INTEGER NOT NULL,
    level     INTEGER NOT NULL,
    first_key BLOB    NOT NULL,
    members   INTEGER NOT NULL,
    CONSTRAINT rank_nodes_pk PRIMARY KEY (id),
    CONSTRAINT rank_nodes_members_not_negative CHECK (members >= 0)
) STRICT;
CREATE UNIQUE INDEX rank_nodes_by_key ON rank_nodes (board, level, first_key);

-- Badges that were rewarded, so that each is once.
CREATE TABLE bonuses (
    user_id   BLOB    NOT NULL,
    answer_id BLOB    NOT NULL,
    badge_id  TEXT    NOT NULL,
    points    INTEGER NOT NULL,
    CONSTRAINT bonuses_pk PRIMARY KEY (user_id, answer_id, badge_id)
) STRICT, WITHOUT ROWID;
