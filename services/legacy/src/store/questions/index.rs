//! The index of full-text search: the words of each question, as [`Text`] cuts them.
//!
//! Whoever writes a question knows nothing of it: what changed is found by its time. A search indexes
//! one batch before it looks, which is all that curators change by hand; the rest of a large change
//! is [`follow`]'s, which a search that leaves something over wakes.

use std::time::Duration;

use chassis::Shutdown;
use database::{Database, Result, Sql, Timestamp, Tx, params};
use question::domain::{FORMAT, Question, Text};

use super::Row as Stored;

/// Questions of one transaction: few enough that nobody is kept waiting behind it.
const BATCH: i64 = 200;

/// Batches before [`follow`] rests: more than a bank has.
const BATCHES: usize = 100;

/// How late [`follow`] finds what changed while nobody searched.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Raised when a search left something for [`follow`].
const SIGNAL: &str = "search";

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
    question: Stored,
}

/// Writes the words of a question that changed at `as_of`.
///
/// # Errors
/// As the database says.
async fn put(tx: &mut Tx, question: &Question, as_of: Timestamp) -> Result<()> {
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

/// Indexes what changed until the shutdown.
pub async fn follow(db: Database, shutdown: Shutdown) {
    let mut left_over = db.signal(SIGNAL);
    loop {
        left_over.borrow_and_update();
        if let Err(error) = catch_up(&db).await {
            tracing::warn!(%error, "cannot index for the search now");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = left_over.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn catch_up(db: &Database) -> Result<()> {
    for _ in 0..BATCHES {
        if !refresh(db).await? {
            break;
        }
    }
    Ok(())
}

/// Indexes a batch of what is not indexed as it is now; whether there may be more.
///
/// # Errors
/// As the database says; nothing was indexed then.
pub(super) async fn refresh(db: &Database) -> Result<bool> {
    // Nobody pays for a writing transaction while there is nothing to write.
    if !is_stale(db).await? {
        return Ok(false);
    }
    let mut tx = db.begin().await?;
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
    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == BATCH);
    for row in rows {
        put(&mut tx, &row.question.try_into()?, row.updated_at).await?;
    }
    if is_full {
        tx.signal(SIGNAL);
    }
    tx.commit().await?;
    Ok(is_full)
}

async fn is_stale(db: &Database) -> Result<bool> {
    let sql = concat!(stale!(), " LIMIT 1");
    let row: Option<Row> = db.fetch_optional(sql, params![FORMAT]).await?;
    Ok(row.is_some())
}

#[cfg(test)]
mod tests {
    use database::Options;
    use testkit::Backend;

    use super::*;

    testkit::both_databases!(a_search_indexes_one_batch_and_leaves_the_rest_to_others);

    const FILL: Sql = Sql::by_dialect(
        "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id, version,
                                created_at, updated_at)
         SELECT gen_random_uuid(), 'What is it?', 'rust', 'easy', '[]', 'a', 1, now(), now()
         FROM generate_series(1, CAST($1 AS BIGINT))",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id, version,
                                created_at, updated_at)
         SELECT randomblob(16), 'What is it?', 'rust', 'easy', '[]', 'a', 1, 1, 1 FROM n",
    );

    async fn a_search_indexes_one_batch_and_leaves_the_rest_to_others(backend: Backend) {
        let db = backend.open(Options::default()).await;
        let tables = db.migrate(crate::store::migrations()).await;
        tables.expect("its tables");
        let indexed = async || {
            let sql = "SELECT COUNT(*) FROM question_search";
            let counted = db.fetch_one::<(i64,)>(sql, params![]).await;
            counted.expect("a count").0
        };
        let filled = db.execute(FILL, params![2 * BATCH + 1]).await;
        filled.expect("questions");
        let wakes = db.signal(SIGNAL);
        assert!(refresh(&db).await.expect("a batch"));
        assert_eq!(indexed().await, BATCH);
        assert!(wakes.has_changed().expect("a signal"), "others are woken");
        catch_up(&db).await.expect("the rest");
        assert_eq!(indexed().await, 2 * BATCH + 1);
        assert!(!refresh(&db).await.expect("nothing"));
        db.close().await;
    }
}
