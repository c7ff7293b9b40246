//! The ledger's lines that a transaction works on: read once, changed in memory, and written together
//! before the commit.
//!
//! Invariant: no two transactions ever do the same ask. A line that is there is this transaction's from when
//! it is read; one that is not there is its own once it is written, and who finds then that somebody else
//! has begun it writes nothing at all, and is tried again. (A line that was first read after a savepoint is
//! read again when that is gone back to.)

use std::collections::{BTreeMap, BTreeSet};

use database::{Dialect, Error, Json, Timestamp, Tx, Value as Bound, Writing, params};
use serde_json::Value;
use uuid::Uuid;

use super::rule::{Ending, Line, Settled};

pub(super) const REVOKED: &str = "revoked";
const COMPLETED: &str = "completed";
pub(super) const DONE: &str = "done";
const REFUSED: &str = "refused";

/// The lines by saga and step.
#[derive(Clone, Default)]
pub(super) struct Lines {
    kept: BTreeMap<Key, Kept>,
}

type Key = (Uuid, String);

/// One line, as it is now.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) line: Line,
    pub(super) effect: Option<Value>,
    is_changed: bool,
    /// It was there when it was read.
    is_stored: bool,
}

impl Kept {
    pub(super) fn effect(&self) -> Value {
        self.effect.clone().unwrap_or_default()
    }

    pub(super) fn settle(&mut self, settled: Settled, effect: Value) {
        self.line.settled = Some(settled);
        self.effect = Some(effect);
        self.is_changed = true;
    }

    pub(super) fn end(&mut self, ending: Ending) {
        let line = self.line.ended(ending);
        self.is_changed |= line != self.line;
        self.line = line;
    }
}

/// A line that is read already.
pub(super) fn known<'a>(tx: &'a mut Tx, saga: Uuid, step: &str) -> Option<&'a Kept> {
    tx.deferred::<Lines>().kept.get(&(saga, step.to_owned()))
}

/// A line, read and kept still where it is not yet.
pub(super) async fn line<'a>(
    tx: &'a mut Tx,
    saga: Uuid,
    step: &str,
) -> Result<&'a mut Kept, Error> {
    open(tx, [saga].into(), step).await?;
    let kept = &mut tx.deferred::<Lines>().kept;
    kept.get_mut(&(saga, step.to_owned()))
        .ok_or(Error::NotFound)
}

/// Reads those lines of `step` that are not read yet, and keeps them still until the transaction ends.
pub(super) async fn open(tx: &mut Tx, sagas: BTreeSet<Uuid>, step: &str) -> Result<(), Error> {
    // One by one in the index, and in one order for everybody, so that no two wait for each other.
    const OPEN: &str =
        "SELECT line.* FROM unnest($1::UUID[]) AS given (saga_id) CROSS JOIN LATERAL (
             SELECT saga_id, outcome, effect, ending FROM saga_ledger
             WHERE saga_ledger.saga_id = given.saga_id AND step = $2 LIMIT 1 FOR UPDATE) AS line";
    const READ: &str = "SELECT saga_id, outcome, effect, ending FROM saga_ledger
         WHERE saga_id = $1 AND step = $2";
    let known = &tx.deferred::<Lines>().kept;
    let is_new = |saga: &Uuid| !known.contains_key(&(*saga, step.to_owned()));
    let new: Vec<Uuid> = sagas.into_iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<Row> = Vec::new();
    match tx.dialect() {
        Dialect::Postgres => {
            rows = tx.fetch_all(OPEN, params![new.clone(), step]).await?;
        }
        // Nobody else writes meanwhile.
        Dialect::Sqlite => {
            for saga in &new {
                rows.extend(tx.fetch_optional(READ, params![*saga, step]).await?);
            }
        }
    }
    let lines = tx.deferred::<Lines>();
    let begun = new
        .into_iter()
        .map(|saga| ((saga, step.to_owned()), Kept::default()));
    lines.kept.extend(begun);
    let read = rows
        .into_iter()
        .map(|row| ((row.saga_id, step.to_owned()), row.into_kept()));
    lines.kept.extend(read);
    Ok(())
}

impl database::Deferred for Lines {
    fn write(self, tx: &mut Tx) -> Writing<'_> {
        Box::pin(write(tx, self))
    }
}

async fn write(tx: &mut Tx, lines: Lines) -> Result<(), Error> {
    let mut changed = lines.kept;
    changed.retain(|_, kept| kept.is_changed);
    if changed.is_empty() {
        return Ok(());
    }
    let now: Timestamp = tx.now().await?;
    let (stored, begun): (Changed, Changed) =
        changed.into_iter().partition(|(_, kept)| kept.is_stored);
    if tx.dialect() == Dialect::Sqlite {
        tx.execute_each(CHANGE_ONE, rows(stored, now)).await?;
        return tx
            .execute_each(BEGIN_ONE, rows(begun, now))
            .await
            .map(|_| ());
    }
    if !stored.is_empty() {
        tx.execute(CHANGE, columns(stored, now)).await?;
    }
    let count = begun.len() as u64;
    if count > 0 && tx.execute(BEGIN, columns(begun, now)).await? != count {
        let reason = "somebody else works on the same saga's line of the ledger";
        return Err(Error::Contention(reason.into()));
    }
    Ok(())
}

type Changed = Vec<(Key, Kept)>;

const BEGIN_ONE: &str =
    "INSERT INTO saga_ledger (saga_id, step, outcome, effect, ending, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $6)";
const CHANGE_ONE: &str =
    "UPDATE saga_ledger SET outcome = $3, effect = $4, ending = $5, updated_at = $6
     WHERE saga_id = $1 AND step = $2";

macro_rules! insert {
    ($then:literal) => {
        concat!(
            "INSERT INTO saga_ledger (saga_id, step, outcome, effect, ending, created_at, updated_at)
             SELECT saga_id, step, outcome, effect::JSONB, ending, $6, $6
             FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[])
                 AS given (saga_id, step, outcome, effect, ending)
             ON CONFLICT (saga_id, step) ",
            $then
        )
    };
}

const BEGIN: &str = insert!("DO NOTHING");
/// An upsert, whose rows are all there and held: its look by the key is no planner's choice, who plans
/// while the table is small and keeps the plan while it grows.
const CHANGE: &str = insert!(
    "DO UPDATE SET outcome = excluded.outcome, effect = excluded.effect,
         ending = excluded.ending, updated_at = excluded.updated_at"
);

/// The values of [`BEGIN_ONE`] and [`CHANGE_ONE`], line by line.
fn rows(lines: Changed, now: Timestamp) -> Vec<Vec<Bound>> {
    let row = |((saga, step), kept): (Key, Kept)| {
        let (outcome, ending) = texts(kept.line);
        params![saga, step, outcome, kept.effect, ending, now]
    };
    lines.into_iter().map(row).collect()
}

/// The values of [`BEGIN`] and [`CHANGE`], column by column.
fn columns(lines: Changed, now: Timestamp) -> Vec<Bound> {
    let (mut sagas, mut steps) = (Vec::new(), Vec::new());
    let (mut outcomes, mut effects, mut endings) = (Vec::new(), Vec::new(), Vec::new());
    for ((saga, step), kept) in lines {
        let (outcome, ending) = texts(kept.line);
        sagas.push(saga);
        steps.push(step);
        outcomes.push(outcome.map(ToOwned::to_owned));
        effects.push(kept.effect.map(|effect| effect.to_string()));
        endings.push(ending.map(ToOwned::to_owned));
    }
    params![sagas, steps, outcomes, effects, endings, now]
}

/// A line as its row says it: outcome and ending.
fn texts(line: Line) -> (Option<&'static str>, Option<&'static str>) {
    let outcome = line.settled.map(|settled| match settled {
        Settled::Done => DONE,
        Settled::Refused => REFUSED,
    });
    let ending = line.ending.map(|ending| match ending {
        Ending::Revoked => REVOKED,
        Ending::Completed => COMPLETED,
    });
    (outcome, ending)
}

#[derive(database::Record)]
struct Row {
    saga_id: Uuid,
    outcome: Option<String>,
    effect: Option<Json<Value>>,
    ending: Option<String>,
}

impl Row {
    fn into_kept(self) -> Kept {
        let settled = |outcome| match outcome {
            DONE => Settled::Done,
            _ => Settled::Refused,
        };
        let ending = |ending| match ending {
            COMPLETED => Ending::Completed,
            _ => Ending::Revoked,
        };
        Kept {
            line: Line {
                settled: self.outcome.as_deref().map(settled),
                ending: self.ending.as_deref().map(ending),
            },
            effect: self.effect.map(|Json(effect)| effect),
            is_changed: false,
            is_stored: true,
        }
    }
}
