//! What the services' `/ops/audit` lists have in common: pages, and waiting for a log position.

use std::time::Duration;

use chassis::Problem;
use contracts::audit::{Page, PageQuery};
use event_store::Consumers;

/// How long a request waits for the consumers to reach the position that it names.
const CATCH_UP: Duration = Duration::from_secs(10);

/// Items of a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 200;

/// Items of a page at most.
const LIMIT_MAX: u32 = 1000;

/// A page that was asked for, once the consumers are where the caller wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The last page's cursor.
    pub after: Option<String>,
    /// Items at most.
    pub limit: i64,
    position: Option<i64>,
}

impl Wanted {
    /// Waits until all consumers have read the log up to the position that `query` names.
    ///
    /// # Errors
    /// 503 `not_caught_up` when they do not get there in time; 422 for a limit out of bounds.
    pub async fn when_caught_up(consumers: &Consumers, query: PageQuery) -> Result<Self, Problem> {
        let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("The limit must be 1 to {LIMIT_MAX}.");
            return Err(Problem::unprocessable("invalid_field", detail).field("limit"));
        }
        if let Some(position) = query.position {
            let caught_up = tokio::time::timeout(CATCH_UP, consumers.caught_up_to(position));
            caught_up.await.map_err(|_| {
                let detail = format!("The consumers have not read the log up to {position} yet.");
                Problem::unavailable("not_caught_up", detail).retry_after(1)
            })?;
        }
        let position = consumers
            .all_progress()
            .iter()
            .map(|progress| progress.position())
            .min();
        Ok(Self {
            after: query.after,
            limit: i64::from(limit),
            position,
        })
    }

    /// The last page's cursor, read as `T`.
    ///
    /// # Errors
    /// 422 when it is none.
    pub fn cursor<T: std::str::FromStr + Default>(&self) -> Result<T, Problem> {
        let Some(text) = &self.after else {
            return Ok(T::default());
        };
        text.parse().map_err(|_| {
            let detail = "The cursor must be one that a page came with.";
            Problem::unprocessable("invalid_field", detail).field("after")
        })
    }

    /// The page of `items`, which were read with this limit; `next` is the last row's cursor.
    pub fn page<T>(&self, rows: usize, next: Option<String>, items: Vec<T>) -> Page<T> {
        let is_last = i64::try_from(rows).unwrap_or(i64::MAX) < self.limit;
        Page {
            position: self.position,
            kept_since: None,
            items,
            next_cursor: next.filter(|_| !is_last),
        }
    }
}
