//! Everything that was counted, read page by page in a stable order.

use contracts::{
    QuizMode,
    audit::{CheckedPlayer, CountedStats, RecordedAnswer, ScoredEntry},
    http::AnswerStatus,
};
use database::{Database, Json, Result, Sql, params};
use uuid::Uuid;

use super::named;

/// Which page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<T> {
    /// The last place of the page before.
    pub after: T,
    /// Items at most.
    pub limit: u32,
}

/// A place in a list by user and mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardPlace {
    user_id: Uuid,
    quiz_mode: String,
}

impl BoardPlace {
    /// The place as a cursor.
    pub fn text(user_id: Uuid, quiz_mode: QuizMode) -> String {
        format!("{user_id}.{quiz_mode}")
    }

    /// The place that a cursor names.
    pub fn parse(text: &str) -> Option<Self> {
        let (user_id, quiz_mode) = text.split_once('.')?;
        let quiz_mode: QuizMode = quiz_mode.parse().ok()?;
        Some(Self {
            user_id: user_id.parse().ok()?,
            quiz_mode: quiz_mode.as_str().to_owned(),
        })
    }
}

/// Answers, by id.
///
/// # Errors
/// As the database says.
pub async fn answers(db: &Database, bounds: &Bounds<Uuid>) -> Result<Vec<RecordedAnswer>> {
    let rows: Vec<(Uuid, Uuid, String, bool, i64)> = db
        .fetch_all(
            "SELECT id, user_id, quiz_mode, is_correct, points FROM answers
             WHERE id > $1 ORDER BY id LIMIT $2",
            params![bounds.after, bounds.limit],
        )
        .await?;
    let item = |(answer_id, user_id, quiz_mode, is_correct, points): (_, _, String, _, _)| {
        let quiz_mode = named(&quiz_mode)?;
        let status = AnswerStatus::Completed;
        Ok(RecordedAnswer {
            answer_id,
            user_id,
            quiz_mode,
            is_correct,
            points,
            status,
        })
    };
    rows.into_iter().map(item).collect()
}

/// Counts, by player and mode.
///
/// # Errors
/// As the database says.
pub async fn stats(db: &Database, bounds: &Bounds<BoardPlace>) -> Result<Vec<CountedStats>> {
    let rows: Vec<(Uuid, String, i64, i64, i64)> = db
        .fetch_all(
            "SELECT user_id, quiz_mode, answered, correct, score FROM mode_stats
             WHERE user_id > $1 OR (user_id = $1 AND quiz_mode > $2)
             ORDER BY user_id, quiz_mode LIMIT $3",
            params![bounds.after.user_id, &bounds.after.quiz_mode, bounds.limit],
        )
        .await?;
    let item = |(user_id, quiz_mode, answered, correct, score): (_, String, _, _, _)| {
        let quiz_mode = named(&quiz_mode)?;
        let (base_answered, base_correct, base_score) = (0, 0, 0);
        Ok(CountedStats {
            user_id,
            quiz_mode,
            base_answered,
            base_correct,
            base_score,
            answered,
            correct,
            score,
        })
    };
    rows.into_iter().map(item).collect()
}

/// Leaderboard lines, by player and mode.
///
/// # Errors
/// As the database says.
pub async fn entries(db: &Database, bounds: &Bounds<BoardPlace>) -> Result<Vec<ScoredEntry>> {
    let rows: Vec<(Uuid, String, i64)> = db
        .fetch_all(
            "SELECT user_id, quiz_mode, score FROM leaderboard
             WHERE user_id > $1 OR (user_id = $1 AND quiz_mode > $2)
             ORDER BY user_id, quiz_mode LIMIT $3",
            params![bounds.after.user_id, &bounds.after.quiz_mode, bounds.limit],
        )
        .await?;
    let item = |(user_id, quiz_mode, score): (_, String, _)| {
        Ok(ScoredEntry {
            user_id,
            quiz_mode: named(&quiz_mode)?,
            base_score: 0,
            score,
        })
    };
    rows.into_iter().map(item).collect()
}

/// Players with their badges, by id.
///
/// # Errors
/// As the database says.
pub async fn players(db: &Database, bounds: &Bounds<Uuid>) -> Result<Vec<CheckedPlayer>> {
    let rows: Vec<(Uuid, i64, Json<Vec<String>>)> = db
        .fetch_all(
            Sql::by_dialect(
                "SELECT s.user_id, s.answered,
                        (SELECT COALESCE(jsonb_agg(a.badge_id ORDER BY a.badge_id), '[]'::jsonb)
                         FROM achievements a WHERE a.user_id = s.user_id)
                 FROM stats s WHERE s.user_id > $1 ORDER BY s.user_id LIMIT $2",
                "SELECT s.user_id, s.answered,
                        (SELECT json_group_array(badge_id)
                         FROM (SELECT badge_id FROM achievements
                               WHERE user_id = s.user_id ORDER BY badge_id))
                 FROM stats s WHERE s.user_id > $1 ORDER BY s.user_id LIMIT $2",
            ),
            params![bounds.after, bounds.limit],
        )
        .await?;
    let item = |(user_id, answered, badges): (_, _, Json<Vec<String>>)| CheckedPlayer {
        user_id,
        base_answered: 0,
        answered,
        badges: badges.0,
    };
    Ok(rows.into_iter().map(item).collect())
}
