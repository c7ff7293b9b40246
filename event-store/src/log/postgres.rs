//! Append on PostgreSQL: one call of a function per group, in a transaction of its own that the server
//! ends, so that no client can sit on the lock.
//!
//! `log_append_rows` takes the usual group, whose events are all new and fit; where it cannot,
//! `log_append` decides batch by batch.

mod usual;

use contracts::Event;
use database::{Database, Error, Json, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    append::{Append, AppendError, Appended, Expected},
    group_commit::{Outcome, Written},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    any_version: bool,
    #[serde(flatten)]
    event: &'a Event,
}

#[derive(Deserialize)]
struct Answer {
    head: i64,
    batches: Vec<BatchAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum BatchAnswer {
    Appended(Vec<(i64, i64, bool)>),
    Refused(Refusal),
}

#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
enum Refusal {
    Conflict {
        stream: String,
        version: i64,
        actual: i64,
    },
    Ahead {
        stream: String,
        version: i64,
        actual: i64,
    },
    IdReused {
        id: Uuid,
        position: i64,
    },
}

pub(super) async fn append(database: &Database, batches: &[Vec<Append>]) -> Result<Written, Error> {
    if let Some(group) = usual::Group::of(batches)
        && let Some(written) = group.append(database, batches).await?
    {
        return Ok(written);
    }
    let sql = "SELECT log_append($1)";
    let (Json(answer),): (Json<Answer>,) =
        database.fetch_one(sql, params![entries(batches)?]).await?;
    let outcomes = answer.batches.into_iter().map(outcome).collect();
    Ok(Written {
        head: answer.head,
        outcomes,
    })
}

fn entries(batches: &[Vec<Append>]) -> Result<Value, Error> {
    let entries: Vec<Vec<Entry<'_>>> = batches
        .iter()
        .map(|batch| {
            batch
                .iter()
                .map(|append| Entry {
                    any_version: append.expected == Expected::Any,
                    event: &append.event,
                })
                .collect()
        })
        .collect();
    serde_json::to_value(entries).map_err(|error| Error::Query(error.into()))
}

fn outcome(answer: BatchAnswer) -> Outcome {
    match answer {
        BatchAnswer::Appended(rows) => Ok(rows
            .into_iter()
            .map(|(position, version, duplicate)| Appended {
                position,
                version,
                duplicate,
            })
            .collect()),
        BatchAnswer::Refused(Refusal::Conflict {
            stream,
            version,
            actual,
        }) => Err(AppendError::Conflict {
            stream,
            version,
            actual,
        }),
        BatchAnswer::Refused(Refusal::Ahead {
            stream,
            version,
            actual,
        }) => Err(AppendError::Ahead {
            stream,
            version,
            actual,
        }),
        BatchAnswer::Refused(Refusal::IdReused { id, position }) => {
            Err(AppendError::IdReused { id, position })
        }
    }
}
