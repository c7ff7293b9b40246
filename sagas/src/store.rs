//! All SQL about sagas themselves. Each function says which transaction it needs; none commits.

mod census;
mod erasure;
mod history;
mod list;
mod sorting;
mod timers;
mod writing;

use std::collections::{BTreeMap, BTreeSet};

use database::{
    Database, Dialect, Error as DatabaseError, Json, Migrations, Record, Sql, Timestamp, Tx, params,
};
use uuid::Uuid;

pub(crate) use self::{
    census::open_by_state,
    erasure::{erase, mark, marked_and_ended, prune},
    history::{
        drop_replies, keep_reply, known_reply_types, overrides, policies, register_definition,
        replies, set_policy, timeline,
    },
    list::{Filter, MAX_PAGE, Page, list},
    sorting::{lock_parked, park, resume, with_replies},
    timers::{Due, clear_timer, due, nearest, pending, put_off},
    writing::{Unwritten, write},
};
use crate::{
    Error, Saga,
    saga::Moment,
    state::{Phase, Policy, State, StepState, Suspension},
};

/// The tables that a saga owner's database needs.
pub fn migrations() -> Migrations {
    Migrations::new(
        "sagas",
        sqlx::migrate!("../migrations/sagas/postgres"),
        sqlx::migrate!("../migrations/sagas/sqlite"),
    )
}

macro_rules! columns {
    ($before:expr, $after:expr) => {
        concat!(
            $before,
            " id, definition, definition_version, state, version, correlation_id, traceparent,
              data, rolled_back, reason, suspended, steps, policy, created_at, updated_at,
              ended_at FROM sagas ",
            $after
        )
    };
}
pub(crate) use columns;

#[derive(Record)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    definition: String,
    definition_version: i64,
    state: String,
    version: i64,
    correlation_id: Uuid,
    traceparent: Option<String>,
    data: Json<serde_json::Value>,
    rolled_back: bool,
    reason: Option<String>,
    suspended: Option<Json<serde_json::Value>>,
    steps: Json<serde_json::Value>,
    policy: Json<serde_json::Value>,
    pub(crate) created_at: Timestamp,
    updated_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl Row {
    pub(crate) fn into_saga(self) -> Result<Saga, Error> {
        let id = self.id;
        let parts = || -> Result<(Vec<StepState>, Policy, Option<Suspension>), _> {
            let suspended = self
                .suspended
                .map(|Json(value)| serde_json::from_value(value));
            Ok((
                serde_json::from_value(self.steps.0)?,
                serde_json::from_value(self.policy.0)?,
                suspended.transpose()?,
            ))
        };
        let corrupt = |source| Error::Corrupt { saga: id, source };
        let (steps, policy, suspended) = parts().map_err(corrupt)?;
        let phase = Phase::parse(&self.state).ok_or_else(|| {
            let text = format!("unknown state {:?}", self.state);
            corrupt(serde::de::Error::custom(text))
        })?;
        Ok(Saga {
            id,
            definition: self.definition,
            definition_version: u32::try_from(self.definition_version).unwrap_or(u32::MAX),
            version: self.version,
            correlation_id: self.correlation_id,
            traceparent: self.traceparent,
            data: self.data.0,
            state: State {
                phase,
                suspended,
                rolled_back: self.rolled_back,
                reason: self.reason,
                steps,
                policy,
            },
            created_at: self.created_at,
            updated_at: self.updated_at,
            ended_at: self.ended_at,
            moment: Moment::default(),
            unwritten: None,
        })
    }
}

const LOCK: Sql = Sql::by_dialect(
    columns!("SELECT", "WHERE id = $1 FOR UPDATE"),
    columns!("SELECT", "WHERE id = $1"),
);

/// Reads a saga and keeps it still until the transaction ends, so that a race is decided before
/// any work is done. (SQLite has one writer at a time anyway.)
pub(crate) async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Saga>, Error> {
    let row: Option<Row> = tx.fetch_optional(LOCK, params![id]).await?;
    row.map(Row::into_saga).transpose()
}

/// As [`lock`] for those of `ids` that there are.
pub(crate) async fn lock_all(
    tx: &mut Tx,
    ids: BTreeSet<Uuid>,
) -> Result<BTreeMap<Uuid, Saga>, Error> {
    // One by one in the index, and in one order for everybody, so that no two transactions wait for
    // each other.
    const LOCK_ALL: &str = concat!(
        "SELECT saga.* FROM unnest($1::UUID[]) AS given (id) CROSS JOIN LATERAL (",
        columns!("SELECT", "WHERE sagas.id = given.id LIMIT 1 FOR UPDATE"),
        ") AS saga"
    );
    let mut rows: Vec<Row> = Vec::new();
    if tx.dialect() == Dialect::Postgres && ids.len() > 1 {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        rows = tx.fetch_all(LOCK_ALL, params![ids]).await?;
    } else {
        for id in ids {
            rows.extend(tx.fetch_optional(LOCK, params![id]).await?);
        }
    }
    let by_id = |row: Row| row.into_saga().map(|saga| (saga.id, saga));
    rows.into_iter().map(by_id).collect()
}

/// Reads a saga.
pub(crate) async fn load(database: &Database, id: Uuid) -> Result<Option<Saga>, Error> {
    let sql = columns!("SELECT", "WHERE id = $1");
    let row: Option<Row> = database.fetch_optional(sql, params![id]).await?;
    row.map(Row::into_saga).transpose()
}

/// Of `ids`, those that whoever waits for them can be told about.
pub(crate) async fn decided_of(
    database: &Database,
    ids: Vec<Uuid>,
) -> Result<Vec<Uuid>, DatabaseError> {
    const DECIDED: Sql = Sql::by_dialect(
        "SELECT id FROM sagas WHERE id = ANY($1) AND (ended_at IS NOT NULL OR rolled_back)",
        "SELECT id FROM sagas WHERE id IN (SELECT unhex(value) FROM json_each($1))
             AND (ended_at IS NOT NULL OR rolled_back)",
    );
    let rows: Vec<(Uuid,)> = database.fetch_all(DECIDED, params![ids]).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The definitions that sagas still need, and how many sagas each has.
pub(crate) async fn open_definitions(
    database: &Database,
) -> Result<Vec<(String, u32)>, DatabaseError> {
    let rows: Vec<(String, i64)> = database
        .fetch_all(
            "SELECT DISTINCT definition, definition_version FROM sagas WHERE ended_at IS NULL",
            params![],
        )
        .await?;
    let version = |version| u32::try_from(version).unwrap_or(u32::MAX);
    Ok(rows
        .into_iter()
        .map(|(name, v)| (name, version(v)))
        .collect())
}

/// Some sagas of a definition that have not ended and are, or are not, suspended; after `after`.
pub(crate) async fn open_of(
    database: &Database,
    (name, version): (&str, u32),
    suspended: Suspended,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, DatabaseError> {
    let sql = match suspended {
        Suspended::Yes => {
            "SELECT id FROM sagas WHERE definition = $1 AND definition_version = $2
                 AND suspended IS NOT NULL AND id > $3 ORDER BY id LIMIT $4"
        }
        Suspended::No => {
            "SELECT id FROM sagas WHERE definition = $1 AND definition_version = $2
                 AND ended_at IS NULL AND suspended IS NULL AND id > $3 ORDER BY id LIMIT $4"
        }
    };
    let rows: Vec<(Uuid,)> = database
        .fetch_all(sql, params![name, version, after, limit])
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Which sagas [`open_of`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspended {
    /// Those that wait for their definition.
    Yes,
    /// The others.
    No,
}
