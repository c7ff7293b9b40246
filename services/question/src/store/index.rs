//! The index of full-text search: the words of each question, as [`Text`] cuts them.
//!
//! Invariant: whoever writes a question here writes its words in the same transaction. A row that
//! somebody else wrote (a replica of the version before, an operator) is found by its time, and
//! indexed by [`refresh`].

use database::{Database, Result, Sql, Timestamp, Tx, params};
use uuid::Uuid;

use super::questions;
use crate::domain::{FORMAT, Question, Text};

/// Questions of one transaction: few enough that nobody is kept waiting behind it.
const BATCH: i64 = 200;

/// Batches of one [`refresh`]: more than a bank has. The next one goes on.
const BATCHES: usize = 100;

/// $1 is [`FORMAT`]. What a newer version of this program cut stays: two versions at work do not
/// take turns.
macro_rules! stale {
    () => {
        "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                updated_at
         FROM questions LEFT JOIN question_search ON question_id = id
         WHERE deleted_at IS NULL
           AND (question_id IS NULL OR as_of <> updated_at OR format < $1)"
    };
}

#[derive(database::Record)]
struct Row {
    updated_at: Timestamp,
    #[record(flatten)]
    question: questions::Row,
}

/// Writes the words of a question that changed at `as_of`.
///
/// # Errors
/// As the database says.
pub async fn put(tx: &mut Tx, question: &Question, as_of: Timestamp) -> Result<()> {
    let text = Text::of(question);
    tx.execute(
        "INSERT INTO question_search (question_id, head, body, as_of, format)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (question_id) DO UPDATE SET
             head = excluded.head, body = excluded.body, as_of = excluded.as_of,
             format = excluded.format",
        params![
            question.id,
            text.head.join(" "),
            text.body.join(" "),
            as_of,
            FORMAT
        ],
    )
    .await?;
    Ok(())
}

/// Removes the words of a question.
///
/// # Errors
/// As the database says.
pub async fn remove(tx: &mut Tx, id: Uuid) -> Result<()> {
    let sql = "DELETE FROM question_search WHERE question_id = $1";
    tx.execute(sql, params![id]).await?;
    Ok(())
}

/// Indexes what is not indexed as it is now, [`BATCHES`] at most; how many questions that were.
///
/// # Errors
/// As the database says; what was indexed until then stays.
pub async fn refresh(db: &Database) -> Result<usize> {
    let mut indexed = 0;
    for _ in 0..BATCHES {
        // Nobody pays for a writing transaction while there is nothing to write.
        if !is_stale(db).await? {
            break;
        }
        let mut tx = db.begin().await?;
        super::revision::raise(&mut tx).await?;
        // Behind the rows' locks, so that no edit comes between reading and writing.
        let rows: Vec<Row> = tx
            .fetch_all(
                Sql::by_dialect(
                    concat!(stale!(), " ORDER BY id LIMIT $2 FOR SHARE OF questions"),
                    concat!(stale!(), " ORDER BY id LIMIT $2"),
                ),
                params![FORMAT, BATCH],
            )
            .await?;
        for row in rows {
            put(&mut tx, &row.question.try_into()?, row.updated_at).await?;
            indexed += 1;
        }
        tx.commit().await?;
    }
    Ok(indexed)
}

async fn is_stale(db: &Database) -> Result<bool> {
    let sql = concat!(stale!(), " LIMIT 1");
    let row: Option<Row> = db.fetch_optional(sql, params![FORMAT]).await?;
    Ok(row.is_some())
}
