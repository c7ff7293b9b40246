//! Up to where the log may be archived, and who says so.

use std::time::Duration;

use database::{Error, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Log;

/// Something that keeps events in the log's database: what lies above its position stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// `age`, `archive`, `publisher NAME` or `consumer SERVICE/NAME`.
    pub name: String,
    /// The last position that it does not need.
    pub position: i64,
}

impl Hold {
    fn new(name: impl Into<String>, position: i64) -> Self {
        Self {
            name: name.into(),
            position,
        }
    }
}

/// All of them. What belongs to another identity of the log holds everything.
pub(crate) async fn all(log: &Log, epoch: Uuid, keep: Duration) -> Result<Vec<Hold>, Error> {
    let now = log.database().now().await?;
    let mut holds = vec![
        Hold::new("age", log.position_before(now - keep).await?),
        Hold::new("archive", log.backed_up_to().await?),
    ];
    holds.extend(cursors(log, epoch).await?);
    Ok(holds)
}

/// Where the publisher and the consumers are.
pub(crate) async fn cursors(log: &Log, epoch: Uuid) -> Result<Vec<Hold>, Error> {
    let sql = "SELECT 'publisher ' || bus, epoch, position FROM publisher_cursors
               UNION ALL
               SELECT 'consumer ' || reader, epoch, position FROM log_readers
               ORDER BY 1";
    let rows: Vec<(String, Uuid, i64)> = log.database().fetch_all(sql, params![]).await?;
    let hold = |(name, of, position)| Hold::new(name, if of == epoch { position } else { 0 });
    Ok(rows.into_iter().map(hold).collect())
}
