//! The table of deadlines: a copy of the timers in sagas' steps, ordered by time.

use std::{collections::BTreeMap, time::Duration};

use database::{Database, Dialect, Error, Timestamp, Tx, params};
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

/// Timers by step and kind, and when each runs out.
pub(crate) type Timers = BTreeMap<(String, Timer), Timestamp>;

/// All timers of a state.
pub(crate) fn timers_of(state: &State) -> Timers {
    let timers = state.timers();
    timers
        .map(|(step, timer, due)| ((step.to_owned(), timer), due))
        .collect()
}

/// Takes timers off the table.
pub(super) async fn clear_timers(
    tx: &mut Tx,
    timers: Vec<(Uuid, String, Timer)>,
) -> Result<(), Error> {
    const CLEAR_ONE: &str =
        "DELETE FROM saga_deadlines WHERE saga_id = $1 AND step = $2 AND kind = $3";
    const CLEAR: &str = "DELETE FROM saga_deadlines WHERE saga_id = ANY($1::UUID[])
         AND (saga_id, step, kind) IN (
             SELECT * FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[]))";
    if timers.is_empty() {
        return Ok(());
    }
    if tx.dialect() == Dialect::Sqlite {
        let row = |(saga, step, timer): (Uuid, String, Timer)| params![saga, step, timer.as_str()];
        let rows = timers.into_iter().map(row).collect();
        return tx.execute_each(CLEAR_ONE, rows).await.map(|_| ());
    }
    let (mut sagas, mut steps, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for (saga, step, timer) in timers {
        sagas.push(saga);
        steps.push(step);
        kinds.push(timer.as_str().to_owned());
    }
    let values = params![sagas, steps, kinds];
    tx.execute(CLEAR, values).await.map(|_| ())
}

/// Sets timers, anew where they are set.
pub(super) async fn set_timers(
    tx: &mut Tx,
    timers: Vec<(Uuid, String, Timer, Timestamp)>,
) -> Result<(), Error> {
    const SET_ONE: &str = "INSERT INTO saga_deadlines (saga_id, step, kind, due_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (saga_id, step, kind) DO UPDATE SET due_at = excluded.due_at, failures = 0";
    const SET: &str = "INSERT INTO saga_deadlines (saga_id, step, kind, due_at)
         SELECT * FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[], $4::TIMESTAMPTZ[])
         ON CONFLICT (saga_id, step, kind) DO UPDATE SET due_at = excluded.due_at, failures = 0";
    if timers.is_empty() {
        return Ok(());
    }
    if tx.dialect() == Dialect::Sqlite {
        let row = |(saga, step, timer, due): (Uuid, String, Timer, Timestamp)| {
            params![saga, step, timer.as_str(), due]
        };
        let rows = timers.into_iter().map(row).collect();
        return tx.execute_each(SET_ONE, rows).await.map(|_| ());
    }
    let (mut sagas, mut steps) = (Vec::new(), Vec::new());
    let (mut kinds, mut dues) = (Vec::new(), Vec::new());
    for (saga, step, timer, due) in timers {
        sagas.push(saga);
        steps.push(step);
        kinds.push(timer.as_str().to_owned());
        dues.push(due);
    }
    let values = params![sagas, steps, kinds, dues];
    tx.execute(SET, values).await.map(|_| ())
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
    clear_timers(tx, vec![(due.saga, due.step.clone(), due.timer)]).await
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
