//! The table of deadlines: a copy of the timers in sagas' steps, ordered by time.

use std::{collections::BTreeMap, time::Duration};

use database::{Database, Error, Sql, Timestamp, Tx, params};
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
    const CLEAR: Sql = Sql::by_dialect(
        "DELETE FROM saga_deadlines WHERE saga_id = $1 AND step || '/' || kind = ANY($2)",
        "DELETE FROM saga_deadlines WHERE saga_id = $1
             AND step || '/' || kind IN (SELECT value FROM json_each($2))",
    );
    const SET: Sql = Sql::by_dialect(
        "INSERT INTO saga_deadlines (saga_id, step, kind, due_at)
         SELECT $1, step, kind, TIMESTAMPTZ 'epoch' + due * INTERVAL '1 microsecond'
         FROM unnest($2, $3, $4) AS timer (step, kind, due)
         ON CONFLICT (saga_id, step, kind) DO UPDATE SET due_at = excluded.due_at, failures = 0",
        "INSERT INTO saga_deadlines (saga_id, step, kind, due_at)
         SELECT $1, step.value, kind.value, due.value
         FROM json_each($2) AS step JOIN json_each($3) AS kind USING (key)
             JOIN json_each($4) AS due USING (key) WHERE TRUE
         ON CONFLICT (saga_id, step, kind) DO UPDATE SET due_at = excluded.due_at, failures = 0",
    );
    let after = timers_of(after);
    let gone = before.keys().filter(|key| !after.contains_key(key));
    let gone: Vec<String> = gone
        .map(|(step, timer)| format!("{step}/{}", timer.as_str()))
        .collect();
    if !gone.is_empty() {
        tx.execute(CLEAR, params![saga, gone]).await?;
    }
    let set = after
        .iter()
        .filter(|(key, due)| before.get(key) != Some(due));
    let (mut steps, mut kinds, mut dues) = (Vec::new(), Vec::new(), Vec::new());
    for ((step, timer), due) in set {
        steps.push(step.clone());
        kinds.push(timer.as_str().to_owned());
        dues.push(due.as_micros());
    }
    if steps.is_empty() {
        return Ok(false);
    }
    tx.execute(SET, params![saga, steps, kinds, dues]).await?;
    Ok(true)
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

/// Takes a timer off the table that its saga does not have; false when it is gone already.
pub(crate) async fn clear_timer(tx: &mut Tx, due: &Due) -> Result<bool, Error> {
    let sql = "DELETE FROM saga_deadlines WHERE saga_id = $1 AND step = $2 AND kind = $3";
    let cleared = tx
        .execute(sql, params![due.saga, &due.step, due.timer.as_str()])
        .await?;
    Ok(cleared > 0)
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
