//! The table of deadlines: a copy of the timers in sagas' steps, ordered by time.

use std::{collections::BTreeMap, time::Duration};

use database::{Database, Error, Timestamp, Tx, params};
use serde::Serialize;
use uuid::Uuid;

use crate::state::{State, Timer};

/// A timer that has run out.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) saga: Uuid,
    pub(crate) step: String,
    pub(crate) timer: Timer,
    pub(crate) due_at: Timestamp,
    /// How often firing it failed before.
    pub(crate) failures: u32,
}

/// A timer, as operators see it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pending {
    step: String,
    kind: String,
    due_at: Timestamp,
    failures: i64,
}

/// Makes the table say what `after` says, given that it says what `before` said. True when a
/// timer was set, so that whoever sleeps until the nearest one must look again.
pub(crate) async fn sync_timers(
    tx: &mut Tx,
    saga: Uuid,
    before: &BTreeMap<(String, Timer), Timestamp>,
    after: &State,
) -> Result<bool, Error> {
    let after = timers_of(after);
    for (step, timer) in before.keys() {
        if !after.contains_key(&(step.clone(), *timer)) {
            tx.execute(
                "DELETE FROM saga_deadlines WHERE saga_id = $1 AND step = $2 AND kind = $3",
                params![saga, step, timer.as_str()],
            )
            .await?;
        }
    }
    let mut set = false;
    for ((step, timer), due_at) in &after {
        if before.get(&(step.clone(), *timer)) != Some(due_at) {
            set = true;
            tx.execute(
                "INSERT INTO saga_deadlines (saga_id, step, kind, due_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (saga_id, step, kind)
                 DO UPDATE SET due_at = excluded.due_at, failures = 0",
                params![saga, step, timer.as_str(), *due_at],
            )
            .await?;
        }
    }
    Ok(set)
}

/// All timers of a state, by step and kind.
pub(crate) fn timers_of(state: &State) -> BTreeMap<(String, Timer), Timestamp> {
    let timers = state.timers();
    timers
        .map(|(step, timer, due)| ((step.to_owned(), timer), due))
        .collect()
}

/// The timers that ran out by `now`, the oldest first.
pub(crate) async fn due(
    database: &Database,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Due>, Error> {
    let rows: Vec<(Uuid, String, String, Timestamp, i64)> = database
        .fetch_all(
            "SELECT saga_id, step, kind, due_at, failures FROM saga_deadlines
             WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
            params![now, limit],
        )
        .await?;
    let due = rows
        .into_iter()
        .filter_map(|(saga, step, kind, due_at, failures)| {
            let timer = Timer::parse(&kind)?;
            let failures = u32::try_from(failures).unwrap_or(u32::MAX);
            Some(Due {
                saga,
                step,
                timer,
                due_at,
                failures,
            })
        });
    Ok(due.collect())
}

/// When the nearest timer runs out.
pub(crate) async fn nearest(database: &Database) -> Result<Option<Timestamp>, Error> {
    let row: Option<(Timestamp,)> = database
        .fetch_optional(
            "SELECT due_at FROM saga_deadlines ORDER BY due_at LIMIT 1",
            params![],
        )
        .await?;
    Ok(row.map(|(at,)| at))
}

/// Puts a timer off whose firing failed, so that it does not hold up others.
pub(crate) async fn put_off(
    database: &Database,
    due: &Due,
    now: Timestamp,
    pause: Duration,
) -> Result<(), Error> {
    database
        .execute(
            "UPDATE saga_deadlines SET due_at = $5, failures = failures + 1
             WHERE saga_id = $1 AND step = $2 AND kind = $3 AND due_at = $4",
            params![
                due.saga,
                &due.step,
                due.timer.as_str(),
                due.due_at,
                now + pause
            ],
        )
        .await?;
    Ok(())
}

/// Takes a timer off the table that its saga does not have.
pub(crate) async fn clear_timer(tx: &mut Tx, due: &Due) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM saga_deadlines WHERE saga_id = $1 AND step = $2 AND kind = $3",
        params![due.saga, &due.step, due.timer.as_str()],
    )
    .await?;
    Ok(())
}

/// A saga's timers, the nearest first.
pub(crate) async fn pending(database: &Database, saga: Uuid) -> Result<Vec<Pending>, Error> {
    let rows: Vec<(String, String, Timestamp, i64)> = database
        .fetch_all(
            "SELECT step, kind, due_at, failures FROM saga_deadlines WHERE saga_id = $1
             ORDER BY due_at",
            params![saga],
        )
        .await?;
    let pending = |(step, kind, due_at, failures)| Pending {
        step,
        kind,
        due_at,
        failures,
    };
    Ok(rows.into_iter().map(pending).collect())
}
