//! Sagas as operators look for them.

use database::{Database, Error, Sql, Timestamp, params};
use uuid::Uuid;

use super::{Row, columns};
use crate::{Saga, state::Phase};

/// Sagas on one page at most: an operator reads them, and each has all its steps.
pub(crate) const MAX_PAGE: u32 = 200;

/// Which sagas; all that is given must fit. The newest come first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Where they stand.
    pub(crate) state: Option<Phase>,
    /// Only those that have not ended.
    pub(crate) open: bool,
    /// Started at or before.
    pub(crate) created_before: Option<Timestamp>,
    /// With a step of that name begun and not settled, or being undone.
    pub(crate) step: Option<String>,
    /// Of that definition.
    pub(crate) definition: Option<String>,
    /// Of that chain of causes.
    pub(crate) correlation: Option<Uuid>,
    /// Older than this one of the page before.
    pub(crate) after: Option<(Timestamp, Uuid)>,
    /// At most; see [`MAX_PAGE`].
    pub(crate) limit: u32,
}

/// One page of sagas.
pub(crate) struct Page {
    pub(crate) items: Vec<Saga>,
    /// [`Filter::after`] of the next page, where there may be one.
    pub(crate) next: Option<(Timestamp, Uuid)>,
}

/// Reads one page. A saga that cannot be read is said aloud and left out, so that it does not hide
/// the others.
pub(crate) async fn list(database: &Database, filter: &Filter) -> Result<Page, Error> {
    let limit = filter.limit.clamp(1, MAX_PAGE);
    let (after_at, after_id) = filter.after.unzip();
    let rows: Vec<Row> = database
        .fetch_all(
            statement(filter),
            params![
                filter.state.map(Phase::as_str),
                filter.open,
                filter.created_before,
                filter.step.clone(),
                filter.definition.clone(),
                filter.correlation,
                after_at,
                after_id,
                limit,
            ],
        )
        .await?;
    let full = rows.len() == limit as usize;
    let next = rows
        .last()
        .filter(|_| full)
        .map(|row| (row.created_at, row.id));
    let readable = |row: Row| {
        row.into_saga()
            .inspect_err(|error| tracing::error!(%error, "a saga is left out of a list"))
            .ok()
    };
    Ok(Page {
        items: rows.into_iter().filter_map(readable).collect(),
        next,
    })
}

/// The statement whose first condition lets an index find what is asked for: few sagas are open,
/// or in a state that an operator looks for, among all that ever were.
const fn statement(filter: &Filter) -> Sql {
    macro_rules! page {
        ($narrow:literal, $open_step:literal) => {
            columns!(
                "SELECT",
                concat!(
                    "WHERE ",
                    $narrow,
                    "  AND ($1 IS NULL OR state = $1)
                       AND ($2 = FALSE OR ended_at IS NULL)
                       AND ($3 IS NULL OR created_at <= $3)
                       AND ($4 IS NULL OR EXISTS (",
                    $open_step,
                    "))
                       AND ($5 IS NULL OR definition = $5)
                       AND ($6 IS NULL OR correlation_id = $6)
                       AND ($7 IS NULL OR created_at < $7 OR (created_at = $7 AND id < $8))
                     ORDER BY created_at DESC, id DESC LIMIT $9"
                )
            )
        };
    }
    macro_rules! both {
        ($narrow:literal) => {
            Sql::by_dialect(
                page!(
                    $narrow,
                    "SELECT 1 FROM jsonb_array_elements(steps) AS step WHERE step->>'name' = $4
                     AND (step->>'progress' IN ('started', 'held')
                          OR step->>'undo' IN ('waiting', 'started', 'failed'))"
                ),
                page!(
                    $narrow,
                    "SELECT 1 FROM json_each(steps) AS step WHERE step.value->>'name' = $4
                     AND (step.value->>'progress' IN ('started', 'held')
                          OR step.value->>'undo' IN ('waiting', 'started', 'failed'))"
                ),
            )
        };
    }
    if filter.correlation.is_some() {
        both!("correlation_id = $6")
    } else if filter.state.is_some() {
        both!("state = $1")
    } else if filter.open || filter.step.is_some() {
        // What waits for a step has not ended.
        both!("ended_at IS NULL")
    } else {
        both!("TRUE")
    }
}
