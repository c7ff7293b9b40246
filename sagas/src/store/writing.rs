//! Writing what transitions made of sagas: many sagas, and many transitions of each, with a few
//! statements on PostgreSQL, where each is a round trip.
//!
//! Invariant: a saga is written as the version after the one that was read, counting every transition
//! between, and each transition has its line in the timeline.

use std::collections::{BTreeMap, HashSet};

use database::{Dialect, Error as DatabaseError, Timestamp, Tx, Value, params};
use faults::Write;
use serde_json::Value as Json;
use uuid::Uuid;

use super::timers::{Timers, clear_timers, set_timers, timers_of};
use crate::{Error, Saga, transition::Input};

/// What a saga has become since it was read.
#[derive(Debug)]
pub(crate) struct Unwritten {
    /// The version that was read; 0 for one that has just begun.
    from: i64,
    /// The timers that the table has.
    timers: Timers,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    version: i64,
    at: Timestamp,
    state: &'static str,
    inputs: Json,
    cause: Option<Uuid>,
}

impl Saga {
    /// Remembers where it stands, before it is changed. A saga that was changed and not written yet
    /// stands where it was read.
    pub(crate) fn about_to_move(&mut self) {
        if self.unwritten.is_none() {
            self.unwritten = Some(Unwritten {
                from: self.version,
                timers: timers_of(&self.state),
                entries: Vec::new(),
            });
        }
    }

    /// Makes what it has become its next version, for [`write`].
    pub(crate) fn has_moved(&mut self, inputs: &[Input]) -> Result<(), Error> {
        let corrupt = |source| Error::Corrupt {
            saga: self.id,
            source,
        };
        let inputs = serde_json::to_value(inputs).map_err(corrupt)?;
        self.version += 1;
        let entry = Entry {
            version: self.version,
            at: self.updated_at,
            state: self.state.phase.as_str(),
            inputs,
            cause: self.cause().map(|cause| cause.event.id),
        };
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.entries.push(entry);
        }
        Ok(())
    }
}

/// Writes those that have moved; when the nearest of the timers runs out that were set, for whoever sleeps
/// until the nearest of all. The sagas are new or locked by `tx`.
///
/// # Errors
/// [`Error::AlreadyStarted`], [`Error::LostRace`], or as the database says. Roll back: nothing that was
/// not written is remembered any more.
pub(crate) async fn write<'a>(
    tx: &mut Tx,
    sagas: impl IntoIterator<Item = &'a mut Saga>,
) -> Result<Option<Timestamp>, Error> {
    let mut changes = Vec::new();
    for saga in sagas {
        let unwritten = saga.unwritten.take();
        let unwritten = unwritten.filter(|unwritten| !unwritten.entries.is_empty());
        changes.extend(unwritten.map(|unwritten| (&*saga, unwritten)));
    }
    if changes.is_empty() {
        return Ok(None);
    }
    faults::before(Write::SagaRow);
    rows(tx, &changes).await?;
    entries(tx, &changes).await?;
    faults::after(Write::SagaRow);
    faults::before(Write::SagaTimers);
    let set = timers(tx, &changes).await?;
    faults::after(Write::SagaTimers);
    Ok(set)
}

type Change<'a> = (&'a Saga, Unwritten);

async fn rows(tx: &mut Tx, changes: &[Change<'_>]) -> Result<(), Error> {
    let (begun, moved): (Vec<_>, Vec<_>) = changes
        .iter()
        .partition(|(_, unwritten)| unwritten.from == 0);
    let is_there: HashSet<Uuid> = match tx.dialect() {
        _ if begun.is_empty() => HashSet::new(),
        Dialect::Postgres => begin_together(tx, &begun).await?,
        Dialect::Sqlite => begin_each(tx, &begun).await?,
    };
    if let Some((saga, _)) = begun.iter().find(|(saga, _)| !is_there.contains(&saga.id)) {
        return Err(Error::AlreadyStarted(saga.id));
    }
    let written = match tx.dialect() {
        _ if moved.is_empty() => return Ok(()),
        Dialect::Postgres => move_together(tx, &moved).await?,
        Dialect::Sqlite => move_each(tx, &moved).await?,
    };
    match moved.first() {
        // One that is lost takes the transaction with it, so it matters little which one it was.
        Some((saga, _)) if written != moved.len() as u64 => Err(Error::LostRace(saga.id)),
        _ => Ok(()),
    }
}

macro_rules! insert {
    ($values:literal) => {
        concat!(
            "INSERT INTO sagas AS saga (id, definition, definition_version, state, version,
                 correlation_id, traceparent, data, rolled_back, reason, suspended, steps, policy,
                 created_at, updated_at, ended_at) ",
            $values
        )
    };
    (given, $then:literal) => {
        concat!(
            insert!(
                "SELECT id, definition, definition_version, state, version, correlation_id,
                     traceparent, data::JSONB, rolled_back <> 0, reason, suspended::JSONB,
                     steps::JSONB, policy::JSONB, created_at, updated_at,
                     TIMESTAMPTZ 'epoch' + ended_at * INTERVAL '1 microsecond'
                 FROM unnest($1::UUID[], $2::TEXT[], $3::BIGINT[], $4::TEXT[], $5::BIGINT[],
                             $6::UUID[], $7::TEXT[], $8::TEXT[], $9::BIGINT[], $10::TEXT[],
                             $11::TEXT[], $12::TEXT[], $13::TEXT[], $14::TIMESTAMPTZ[],
                             $15::TIMESTAMPTZ[], $16::BIGINT[])
                     AS given (id, definition, definition_version, state, version, correlation_id,
                               traceparent, data, rolled_back, reason, suspended, steps, policy,
                               created_at, updated_at, ended_at) "
            ),
            $then
        )
    };
}

/// Writes sagas that have just begun; those that were not there before. One that is there already is not
/// waited for: whoever moves it may wait for what this transaction has done.
async fn begin_each(tx: &mut Tx, begun: &[&Change<'_>]) -> Result<HashSet<Uuid>, Error> {
    const BEGIN: &str = insert!(
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
         ON CONFLICT (id) DO NOTHING"
    );
    let mut written = HashSet::new();
    for (saga, _) in begun {
        let Stored {
            data,
            steps,
            policy,
            suspended,
        } = Stored::of(saga)?;
        let values = params![
            saga.id,
            &saga.definition,
            saga.definition_version,
            saga.state.phase.as_str(),
            saga.version,
            saga.correlation_id,
            saga.traceparent.clone(),
            data,
            saga.state.rolled_back,
            saga.state.reason.clone(),
            suspended,
            steps,
            policy,
            saga.created_at,
            saga.updated_at,
            saga.ended_at,
        ];
        if tx.execute(BEGIN, values).await? == 1 {
            written.insert(saga.id);
        }
    }
    Ok(written)
}

/// As [`begin_each`], with one statement.
async fn begin_together(tx: &mut Tx, begun: &[&Change<'_>]) -> Result<HashSet<Uuid>, Error> {
    const BEGIN: &str = insert!(given, "ON CONFLICT (id) DO NOTHING RETURNING id");
    let written: Vec<(Uuid,)> = tx.fetch_all(BEGIN, columns(begun)?).await?;
    Ok(written.into_iter().map(|(id,)| id).collect())
}

async fn move_each(tx: &mut Tx, moved: &[&Change<'_>]) -> Result<u64, Error> {
    const MOVE: &str = "UPDATE sagas SET state = $3, version = $4, rolled_back = $5, reason = $6,
             suspended = $7, steps = $8, updated_at = $9, ended_at = $10
         WHERE id = $1 AND version = $2";
    let mut rows = Vec::with_capacity(moved.len());
    for (saga, unwritten) in moved {
        let Stored {
            steps, suspended, ..
        } = Stored::of(saga)?;
        rows.push(params![
            saga.id,
            unwritten.from,
            saga.state.phase.as_str(),
            saga.version,
            saga.state.rolled_back,
            saga.state.reason.clone(),
            suspended,
            steps,
            saga.updated_at,
            saga.ended_at,
        ]);
    }
    Ok(tx.execute_each(MOVE, rows).await?)
}

/// All with one statement. An upsert, whose rows are all there: its look by the key is no planner's choice,
/// who plans while the table is small and keeps the plan while it grows.
async fn move_together(tx: &mut Tx, moved: &[&Change<'_>]) -> Result<u64, Error> {
    const MOVE: &str = insert!(
        given,
        "ON CONFLICT (id) DO UPDATE SET state = excluded.state, version = excluded.version,
             rolled_back = excluded.rolled_back, reason = excluded.reason,
             suspended = excluded.suspended, steps = excluded.steps,
             updated_at = excluded.updated_at, ended_at = excluded.ended_at
         WHERE saga.version = ($17::BIGINT[])[array_position($1::UUID[], saga.id)]"
    );
    let from: Vec<i64> = moved.iter().map(|(_, unwritten)| unwritten.from).collect();
    let mut values = columns(moved)?;
    values.extend(params![from]);
    Ok(tx.execute(MOVE, values).await?)
}

/// The sagas as arrays, one for each column.
fn columns(changes: &[&Change<'_>]) -> Result<Vec<Value>, Error> {
    let mut stored = Vec::with_capacity(changes.len());
    for (saga, _) in changes {
        stored.push(Stored::of(saga)?);
    }
    fn of<T>(changes: &[&Change<'_>], part: impl Fn(&Saga) -> T) -> Vec<T> {
        changes.iter().map(|(saga, _)| part(saga)).collect()
    }
    let json = |part: fn(&Stored) -> &Json| -> Vec<String> {
        stored
            .iter()
            .map(|stored| part(stored).to_string())
            .collect()
    };
    let suspended = stored.iter().map(|stored| stored.suspended.as_ref());
    let suspended: Vec<Option<String>> = suspended
        .map(|suspended| suspended.map(ToString::to_string))
        .collect();
    Ok(params![
        of(changes, |saga| saga.id),
        of(changes, |saga| saga.definition.clone()),
        of(changes, |saga| i64::from(saga.definition_version)),
        of(changes, |saga| saga.state.phase.as_str().to_owned()),
        of(changes, |saga| saga.version),
        of(changes, |saga| saga.correlation_id),
        of(changes, |saga| saga.traceparent.clone()),
        json(|stored| &stored.data),
        of(changes, |saga| i64::from(saga.state.rolled_back)),
        of(changes, |saga| saga.state.reason.clone()),
        suspended,
        json(|stored| &stored.steps),
        json(|stored| &stored.policy),
        of(changes, |saga| saga.created_at),
        of(changes, |saga| saga.updated_at),
        of(changes, |saga| saga.ended_at.map(|at| at.as_micros())),
    ])
}

async fn entries(tx: &mut Tx, changes: &[Change<'_>]) -> Result<(), DatabaseError> {
    const INSERT_ONE: &str =
        "INSERT INTO saga_transitions (saga_id, version, at, state, inputs, cause_id)
         VALUES ($1, $2, $3, $4, $5, $6)";
    const INSERT: &str = "INSERT INTO saga_transitions (saga_id, version, at, state, inputs, cause_id)
         SELECT saga_id, version, at, state, inputs::jsonb, cause_id
         FROM unnest($1::UUID[], $2::BIGINT[], $3::TIMESTAMPTZ[], $4::TEXT[], $5::TEXT[], $6::UUID[])
             AS given (saga_id, version, at, state, inputs, cause_id)";
    let all = || {
        changes
            .iter()
            .flat_map(|(saga, unwritten)| unwritten.entries.iter().map(|entry| (saga.id, entry)))
    };
    if tx.dialect() == Dialect::Sqlite {
        let row = |(saga, entry): (Uuid, &Entry)| {
            let Entry {
                version,
                at,
                state,
                ref inputs,
                cause,
            } = *entry;
            params![saga, version, at, state, inputs.clone(), cause]
        };
        tx.execute_each(INSERT_ONE, all().map(row).collect())
            .await?;
        return Ok(());
    }
    let ids: Vec<Uuid> = all().map(|(saga, _)| saga).collect();
    let versions: Vec<i64> = all().map(|(_, entry)| entry.version).collect();
    let times: Vec<Timestamp> = all().map(|(_, entry)| entry.at).collect();
    let states: Vec<String> = all().map(|(_, entry)| entry.state.to_owned()).collect();
    let inputs: Vec<String> = all().map(|(_, entry)| entry.inputs.to_string()).collect();
    let causes: Vec<Option<Uuid>> = all().map(|(_, entry)| entry.cause).collect();
    let values = params![ids, versions, times, states, inputs, causes];
    tx.execute(INSERT, values).await.map(|_| ())
}

/// Makes the table of timers say what the sagas say; whether one was set.
async fn timers(tx: &mut Tx, changes: &[Change<'_>]) -> Result<Option<Timestamp>, DatabaseError> {
    let (mut gone, mut set) = (Vec::new(), Vec::new());
    for (saga, unwritten) in changes {
        let (before, after): (&Timers, BTreeMap<_, _>) =
            (&unwritten.timers, timers_of(&saga.state));
        let missing = before.keys().filter(|key| !after.contains_key(*key));
        gone.extend(missing.map(|(step, timer)| (saga.id, step.clone(), *timer)));
        let new = after
            .into_iter()
            .filter(|(key, due)| before.get(key) != Some(due));
        set.extend(new.map(|((step, timer), due)| (saga.id, step, timer, due)));
    }
    clear_timers(tx, gone).await?;
    let nearest = set.iter().map(|(.., due)| *due).min();
    set_timers(tx, set).await?;
    Ok(nearest)
}

/// What of a saga is stored as JSON.
struct Stored {
    data: Json,
    steps: Json,
    policy: Json,
    suspended: Option<Json>,
}

impl Stored {
    fn of(saga: &Saga) -> Result<Self, Error> {
        let parts = || {
            let suspended = saga.state.suspended.as_ref().map(serde_json::to_value);
            Ok(Self {
                data: saga.data.clone(),
                steps: serde_json::to_value(&saga.state.steps)?,
                policy: serde_json::to_value(&saga.state.policy)?,
                suspended: suspended.transpose()?,
            })
        };
        parts().map_err(|source| Error::Corrupt {
            saga: saga.id,
            source,
        })
    }
}
