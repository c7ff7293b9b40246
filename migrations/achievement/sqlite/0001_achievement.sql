-- What the badge rules know of a player, provisional answers included: the fold of `base` (by
-- import, as of `base_at`) and of `answers` answers given on this side.
CREATE TABLE players (
    user_id BLOB NOT NULL,
    state TEXT NOT NULL,
    base_at INTEGER,
    answers INTEGER NOT NULL,
    CONSTRAINT players_pk PRIMARY KEY (user_id),
    CONSTRAINT players_answers_counted CHECK (answers >= 0)
) STRICT;

-- A badge is `earned` while its answer's saga is undecided, and `unlocked` and shown afterwards.
-- Imported badges are unlocked and have no answer.
CREATE TABLE badges (
    user_id BLOB NOT NULL,
    badge_id TEXT NOT NULL,
    status TEXT NOT NULL,
    answer_id BLOB,
    earned_at INTEGER NOT NULL,
    unlocked_at INTEGER,
    CONSTRAINT badges_pk PRIMARY KEY (user_id, badge_id),
    CONSTRAINT badges_status_known CHECK (status IN ('earned', 'unlocked')),
    CONSTRAINT badges_unlocked_when CHECK ((status = 'unlocked') = (unlocked_at IS NOT NULL)),
    CONSTRAINT badges_earned_by_an_answer CHECK (status = 'unlocked' OR answer_id IS NOT NULL)
) STRICT;
CREATE INDEX badges_by_answer ON badges (answer_id);
