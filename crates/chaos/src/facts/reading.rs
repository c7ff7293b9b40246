//! Reads the facts out of the databases.

use std::collections::BTreeMap;

use anyhow::Context;
use contracts::QuizMode;
use database::{Database, Json, Record, Timestamp, params};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Badge, Counted, Facts, Keyed, Line, Logged, Place, Recorded, Remembered, Saga, Sent, Service,
};

/// The databases, past any proxy.
pub struct Databases {
    /// The log's.
    pub log: Database,
    /// Each service's, by its name.
    pub services: BTreeMap<&'static str, Database>,
}

impl Databases {
    fn of(&self, service: &str) -> anyhow::Result<&Database> {
        let database = self.services.get(service);
        database.with_context(|| format!("{service} has no database"))
    }

    /// Everything that is there; `places` are what the API told players.
    ///
    /// # Errors
    /// As the databases say.
    pub async fn facts(&self, places: Vec<Place>) -> anyhow::Result<Facts> {
        let mut services = Vec::new();
        for (name, database) in &self.services {
            services.push(service(name, database).await?);
        }
        let quiz = self.of("quiz")?;
        let (achievement, leaderboard) = (self.of("achievement")?, self.of("leaderboard")?);
        Ok(Facts {
            log: log(&self.log).await?,
            services,
            answers: answers(quiz).await?,
            keys: keys(quiz).await?,
            tallies: tallies(quiz).await?,
            sagas: sagas(quiz).await?,
            badge_ledger: ledger(achievement).await?,
            players: players(achievement).await?,
            badges: badges(achievement).await?,
            board_ledger: ledger(leaderboard).await?,
            lines: lines(leaderboard).await?,
            nodes: rows(leaderboard, "SELECT board, level, members FROM rank_nodes").await?,
            places,
        })
    }
}

async fn rows<T: Record>(database: &Database, sql: &'static str) -> anyhow::Result<Vec<T>> {
    database.fetch_all(sql, params![]).await.context(sql)
}

async fn log(database: &Database) -> anyhow::Result<Vec<Logged>> {
    type Row = (
        i64,
        Uuid,
        String,
        i64,
        String,
        String,
        Timestamp,
        Json<Value>,
    );
    let sql = "SELECT position, id, stream, version, type, service_id, occurred_at, payload
               FROM events ORDER BY position";
    let rows: Vec<Row> = rows(database, sql).await?;
    let event =
        |(position, id, stream, version, event_type, service_id, at, payload): Row| Logged {
            position,
            id,
            stream,
            version,
            event_type,
            service_id,
            at: at.into(),
            payload: payload.0,
        };
    Ok(rows.into_iter().map(event).collect())
}

async fn service(name: &str, database: &Database) -> anyhow::Result<Service> {
    type Row = (Uuid, String, i64, Option<i64>, Option<String>);
    let sql = "SELECT id, stream, version, sent_position, error FROM outbox ORDER BY sequence";
    let outbox: Vec<Row> = rows(database, sql).await?;
    let sent = |(id, stream, version, position, error): Row| Sent {
        id,
        stream,
        version,
        position,
        error,
    };
    Ok(Service {
        name: name.to_owned(),
        outbox: outbox.into_iter().map(sent).collect(),
        parked: rows(
            database,
            "SELECT consumer, event_id, error FROM parked_events",
        )
        .await?,
        checkpoints: rows(
            database,
            "SELECT consumer, position FROM consumer_checkpoints",
        )
        .await?,
    })
}

async fn answers(database: &Database) -> anyhow::Result<Vec<Recorded>> {
    type Row = (Uuid, Uuid, Uuid, String, String, bool, i64, i64, String);
    let sql = "SELECT id, user_id, question_id, choice_id, quiz_mode, is_correct, points, streak,
               status FROM answers ORDER BY id";
    let rows: Vec<Row> = rows(database, sql).await?;
    let answer = |row: Row| {
        let (id, user_id, question_id, choice_id, quiz_mode, is_correct, points, streak, status) =
            row;
        Recorded {
            id,
            user_id,
            question_id,
            choice_id,
            quiz_mode,
            is_correct,
            points,
            streak,
            status,
        }
    };
    Ok(rows.into_iter().map(answer).collect())
}

async fn keys(database: &Database) -> anyhow::Result<Vec<Keyed>> {
    let sql = "SELECT subject, key, answer_id FROM idempotency_keys";
    let rows: Vec<(Uuid, String, Uuid)> = rows(database, sql).await?;
    let keyed = |(user_id, key, answer_id)| Keyed {
        user_id,
        key,
        answer_id,
    };
    Ok(rows.into_iter().map(keyed).collect())
}

async fn tallies(database: &Database) -> anyhow::Result<Vec<Counted>> {
    let sql = "SELECT user_id, own FROM stats WHERE own IS NOT NULL";
    let rows: Vec<(Uuid, Json<Value>)> = rows(database, sql).await?;
    let counted = |(user_id, Json(own)): (Uuid, Json<Value>)| Counted {
        user_id,
        answered: number(&own, "answered"),
        correct: number(&own, "correct"),
        streak: number(&own, "run"),
        best_streak: number(&own, "bestRun"),
        score: Some(number(&own, "score")),
    };
    Ok(rows.into_iter().map(counted).collect())
}

async fn sagas(database: &Database) -> anyhow::Result<Vec<Saga>> {
    let rows: Vec<(Uuid, String)> = rows(database, "SELECT id, state FROM sagas").await?;
    let saga = |(id, state)| Saga { id, state };
    Ok(rows.into_iter().map(saga).collect())
}

async fn ledger(database: &Database) -> anyhow::Result<Vec<Remembered>> {
    let sql = "SELECT saga_id, outcome, ending FROM saga_ledger";
    let rows: Vec<(Uuid, Option<String>, Option<String>)> = rows(database, sql).await?;
    let remembered = |(saga_id, outcome, ending)| Remembered {
        saga_id,
        outcome,
        ending,
    };
    Ok(rows.into_iter().map(remembered).collect())
}

async fn players(database: &Database) -> anyhow::Result<Vec<Counted>> {
    let rows: Vec<(Uuid, Json<Value>)> =
        rows(database, "SELECT user_id, state FROM players").await?;
    let counted = |(user_id, Json(state)): (Uuid, Json<Value>)| Counted {
        user_id,
        answered: number(&state, "answered"),
        correct: number(&state, "correct"),
        streak: number(&state, "streak"),
        best_streak: number(&state, "bestStreak"),
        score: None,
    };
    Ok(rows.into_iter().map(counted).collect())
}

async fn badges(database: &Database) -> anyhow::Result<Vec<Badge>> {
    let sql = "SELECT user_id, badge_id, status, answer_id FROM badges";
    let rows: Vec<(Uuid, String, String, Option<Uuid>)> = rows(database, sql).await?;
    let badge = |(user_id, badge_id, status, answer_id)| Badge {
        user_id,
        badge_id,
        status,
        answer_id,
    };
    Ok(rows.into_iter().map(badge).collect())
}

async fn lines(database: &Database) -> anyhow::Result<Vec<Line>> {
    // Boards of all time have the smallest numbers, one for each mode.
    let sql = "SELECT user_id, board, score, reached_at FROM standings WHERE board IN (0, 1, 2)
               ORDER BY board, rank_key";
    let rows: Vec<(Uuid, i64, i64, Timestamp)> = rows(database, sql).await?;
    let line = |(user_id, board, score, at): (Uuid, i64, i64, Timestamp)| {
        let mode = usize::try_from(board).ok();
        let mode = mode.and_then(|board| QuizMode::ALL.get(board));
        Ok(Line {
            user_id,
            quiz_mode: *mode.with_context(|| format!("there is no board {board}"))?,
            score,
            reached_at: at.into(),
        })
    };
    rows.into_iter().map(line).collect()
}

/// A count that is absent is zero.
fn number(of: &Value, name: &str) -> i64 {
    of[name].as_i64().unwrap_or_default()
}
