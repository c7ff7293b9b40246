-- Where the counts are built a second time, beside those that reports are made of. Empty otherwise.
CREATE TABLE day_counts_beside (
    day       TEXT   NOT NULL,
    kind      TEXT   NOT NULL,
    quiz_mode TEXT   NOT NULL,
    count     BIGINT NOT NULL,
    CONSTRAINT day_counts_beside_pk PRIMARY KEY (day, kind, quiz_mode)
);
CREATE TABLE open_answers_beside (
    answer_id    UUID        NOT NULL,
    quiz_mode    TEXT        NOT NULL,
    is_correct   BOOLEAN     NOT NULL,
    submitted_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT open_answers_beside_pk PRIMARY KEY (answer_id)
);
CREATE INDEX open_answers_beside_by_age ON open_answers_beside (submitted_at);
