//! Waiting until nothing is left to do.
//!
//! What ends the wait is that nothing moves any more. A machine that is slow makes it longer, and never a
//! verdict; the bound on all of it is for what would move for ever.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use database::{Database, Sql, params};
use tokio::time::sleep;

use crate::facts::reading::Databases;

/// Nothing has moved for so long: it will not come to rest. Longer than the longest pause between two
/// asks of a compensation, a minute.
const STUCK: Duration = Duration::from_secs(90);

/// Work that has not come to its end by then goes on for ever.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// What is left to do: what of whom, and how much.
type Left = BTreeMap<String, i64>;

/// Waits until all sagas have ended, all is sent, read and forwarded, and nothing is set aside.
///
/// # Errors
/// What is left to do, when nothing moves any more, or when a database does not answer for as long.
pub async fn wait(databases: &Databases) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (mut before, mut moved) = (None, begun);
    loop {
        let looked = look(databases).await;
        let left = match looked {
            Ok((_, left)) if left.is_empty() => return Ok(()),
            Ok(seen) => Ok(seen),
            Err(error) => Err(format!("{error:#}")),
        };
        if begun.elapsed() > LONGEST {
            anyhow::bail!("it does not come to rest, and there is left: {left:?}");
        }
        if before.as_ref() != Some(&left) {
            moved = Instant::now();
            before = Some(left);
        } else if moved.elapsed() > STUCK {
            anyhow::bail!("nothing moves any more, and there is left: {left:?}");
        }
        sleep(LOOK).await;
    }
}

/// The log's head, and what is left to do.
async fn look(databases: &Databases) -> anyhow::Result<(i64, Left)> {
    let mut left = Left::new();
    let mut note = |what: String, count: i64| {
        if count != 0 {
            left.insert(what, count);
        }
    };
    for (name, database) in &databases.services {
        let unsent = count(
            database,
            "SELECT COUNT(*) FROM outbox WHERE sent_position IS NULL",
        );
        note(format!("unsent of {name}"), unsent.await?);
        let parked = count(database, "SELECT COUNT(*) FROM parked_events").await?;
        note(format!("set aside by {name}"), parked);
        if *name == "quiz" {
            let open = count(
                database,
                "SELECT COUNT(*) FROM sagas WHERE ended_at IS NULL",
            );
            note("open sagas".to_owned(), open.await?);
        }
    }
    let head = count(&databases.log, "SELECT head FROM log_head").await?;
    let sql = "SELECT COALESCE(MIN(position), 0) FROM publisher_cursors";
    note(
        "unpublished".to_owned(),
        head - count(&databases.log, sql).await?,
    );
    for (name, database) in &databases.services {
        let sql = "SELECT consumer, position FROM consumer_checkpoints";
        let rows: Vec<(String, i64)> = database.fetch_all(sql, params![]).await?;
        for (consumer, position) in rows {
            note(format!("unread by {consumer} of {name}"), head - position);
        }
    }
    Ok((head, left))
}

/// The log's head.
///
/// # Errors
/// As the database says.
pub async fn head(databases: &Databases) -> anyhow::Result<i64> {
    count(&databases.log, "SELECT head FROM log_head").await
}

async fn count(database: &Database, sql: impl Into<Sql>) -> anyhow::Result<i64> {
    let (count,): (i64,) = database.fetch_one(sql, params![]).await?;
    Ok(count)
}
