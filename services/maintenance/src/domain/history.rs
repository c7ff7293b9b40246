//! How a job's history is read page by page.

use chassis::http::cursor::{BadCursor, Listing};
use database::Timestamp;
use serde::Deserialize;
use thiserror::Error;
use utoipa::IntoParams;
use uuid::Uuid;

/// Runs of a page when the client does not say.
const LIMIT_DEFAULT: usize = 20;

/// Runs of a page at most: a page is one body, held in memory.
const LIMIT_MAX: usize = 100;

/// Later than every run, and a time that both databases can compare with: the year 2096.
const END: i64 = 4_000_000_000_000_000;

/// When a run was noted, and its id: its place in the history.
pub type Place = (Timestamp, Uuid);

/// The query of a history, as it arrives.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunQuery {
    /// Runs of the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    pub limit: Option<String>,
    /// The `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QueryFault {
    /// The page's size.
    #[error("limit must be a number from 1 to 100")]
    Limit,
    /// The page's cursor.
    #[error(transparent)]
    Cursor(#[from] BadCursor),
}

impl RunQuery {
    /// The page's size, and the place behind which it begins.
    ///
    /// # Errors
    /// What is wrong with the query.
    pub fn place(&self, job: &str) -> Result<(usize, Place), QueryFault> {
        let limit = match self.limit.as_deref() {
            None => LIMIT_DEFAULT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                .ok_or(QueryFault::Limit)?,
        };
        let (micros, id) = match self.cursor.as_deref() {
            None => (END, Uuid::max()),
            Some(cursor) => listing(&[job]).place(cursor)?,
        };
        Ok((limit, (Timestamp::from_micros(micros.clamp(0, END)), id)))
    }
}

/// The cursor of the page behind this place.
pub fn cursor(job: &str, place: Place) -> String {
    listing(&[job]).cursor(&(place.0.as_micros(), place.1))
}

fn listing<'a>(job: &'a [&'a str; 1]) -> Listing<'a> {
    Listing {
        name: "maintenance-runs",
        filter: job,
    }
}
