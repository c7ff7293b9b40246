//! Parked events are handled again: one, with those of its stream, or all that a consumer has.
//!
//! Invariant: the row is deleted in the handler's transaction, so an effect happens once, whoever
//! retries at the same time.

use std::{sync::Arc, time::Duration};

use contracts::Recorded;
use database::{Database, Error, Json, params};
use serde::Serialize;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use super::{Parked, delete, shortened};
use crate::{
    consumer::{Handler, Order, Reader, attempt::call, checkpoint::hold},
    personal::Keys,
    trace,
};

/// Events drained by one retry at most; the rest is drained by the next.
const MAX_DRAIN: u32 = 10_000;

/// How long a retry of all goes on before it says where to go on: below the patience of whoever
/// asked for it over HTTP.
const ALL_FOR: Duration = Duration::from_secs(10);

/// Streams, or events whose order does not matter, that a retry of all takes up at once.
const AT_ONCE: u32 = 500;

/// What a retry came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retried {
    /// Events that were handled now, in order.
    pub handled: u32,
    /// Why the next one failed again; it stays parked, and so do those behind it.
    pub error: Option<String>,
}

/// What a retry of all came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetriedAll {
    /// Events that were handled now.
    pub handled: u32,
    /// Streams, or events whose order does not matter, of which one failed again.
    pub failed: u32,
    /// Why; of the first that failed.
    pub error: Option<String>,
    /// Go on above this position; none when all have had their turn.
    pub next: Option<i64>,
}

/// What is retried.
#[derive(Clone, Debug)]
pub(in crate::consumer) enum Target {
    /// All that is parked of a stream, in order.
    Stream(String),
    /// One event, whatever else is parked.
    Event(Uuid),
}

impl Target {
    /// What goes with a parked event.
    pub(in crate::consumer) fn of(handler: &Arc<dyn Handler>, parked: &Parked) -> Self {
        match handler.order() {
            Order::ByStream => Self::Stream(parked.stream.clone()),
            Order::Unimportant => Self::Event(parked.event_id),
        }
    }
}

/// Handles it again, oldest first, each event in a transaction that also deletes its row.
pub(in crate::consumer) async fn retry(
    database: &Database,
    keys: &Keys,
    reader: &Reader,
    target: Target,
) -> Result<Retried, Error> {
    let mut handled = 0;
    while handled < MAX_DRAIN {
        match retry_next(database, keys, reader, &target).await? {
            One::Handled => handled += 1,
            One::Nothing => break,
            One::Failed(error) => {
                return Ok(Retried {
                    handled,
                    error: Some(error),
                });
            }
        }
        if matches!(target, Target::Event(_)) {
            break;
        }
    }
    Ok(Retried {
        handled,
        error: None,
    })
}

/// Gives everything that begins above `after` its turn, until the time is over.
pub(in crate::consumer) async fn retry_all(
    database: &Database,
    keys: &Keys,
    readers: &[&Arc<Reader>],
    mut after: i64,
) -> Result<RetriedAll, Error> {
    let until = Instant::now() + ALL_FOR;
    let mut all = RetriedAll::default();
    loop {
        let mut found = Vec::new();
        for reader in readers {
            let targets = targets(database, reader, after).await?;
            found.extend(
                targets
                    .into_iter()
                    .map(|(first, target)| (first, target, reader)),
            );
        }
        if found.is_empty() {
            return Ok(all);
        }
        // Of several parts in one order, and no further than each was looked at.
        found.sort_by_key(|(first, ..)| *first);
        found.truncate(usize::try_from(AT_ONCE).unwrap_or(usize::MAX));
        for (first, target, reader) in found {
            let retried = retry(database, keys, reader, target).await?;
            all.handled += retried.handled;
            if let Some(error) = retried.error {
                all.failed += 1;
                all.error.get_or_insert(error);
            }
            after = first;
            if Instant::now() >= until {
                all.next = Some(after);
                return Ok(all);
            }
        }
    }
}

/// What has its turn next, by the position at which it begins.
async fn targets(
    database: &Database,
    reader: &Reader,
    after: i64,
) -> Result<Vec<(i64, Target)>, Error> {
    let values = params![reader.name(), after, AT_ONCE];
    Ok(match reader.handler.order() {
        Order::ByStream => {
            let sql = "SELECT MIN(position), stream FROM parked_events WHERE consumer = $1
                       GROUP BY stream HAVING MIN(position) > $2 ORDER BY 1 LIMIT $3";
            let rows: Vec<(i64, String)> = database.fetch_all(sql, values).await?;
            let targets = rows.into_iter();
            targets
                .map(|(first, stream)| (first, Target::Stream(stream)))
                .collect()
        }
        Order::Unimportant => {
            let sql = "SELECT position, event_id FROM parked_events
                       WHERE consumer = $1 AND position > $2 ORDER BY position LIMIT $3";
            let rows: Vec<(i64, Uuid)> = database.fetch_all(sql, values).await?;
            let targets = rows.into_iter();
            targets.map(|(at, id)| (at, Target::Event(id))).collect()
        }
    })
}

enum One {
    Handled,
    Nothing,
    Failed(String),
}

async fn retry_next(
    database: &Database,
    keys: &Keys,
    reader: &Reader,
    target: &Target,
) -> Result<One, Error> {
    let name = reader.name();
    let mut tx = database.begin().await?;
    hold(&mut tx, name).await?;
    let next: Option<(Uuid, Json<Recorded>)> = match target {
        Target::Stream(stream) => {
            let sql = "SELECT event_id, event FROM parked_events
                       WHERE consumer = $1 AND stream = $2 ORDER BY position LIMIT 1";
            tx.fetch_optional(sql, params![name, stream]).await?
        }
        Target::Event(id) => {
            let sql = "SELECT event_id, event FROM parked_events
                       WHERE consumer = $1 AND event_id = $2";
            tx.fetch_optional(sql, params![name, *id]).await?
        }
    };
    let Some((id, Json(event))) = next else {
        return Ok(One::Nothing);
    };
    delete(&mut tx, name, id).await?;
    let mut span = trace::handling(name, &event);
    let called = match keys.opened(&[&event]).await {
        Ok(opened) => {
            span.scope(call(&*reader.handler, &mut tx, &[opened.of(&event)]))
                .instrument(trace::named(name, &event))
                .await
        }
        Err(error) => Err(error.into()),
    };
    if let Err(error) = &called {
        span.fail(error.fault().as_str(), error);
        span.set("banyan.outcome", "parked");
    }
    let error = match called {
        Ok(()) => {
            faults::before(faults::Write::ConsumerRetry);
            tx.commit().await?;
            faults::after(faults::Write::ConsumerRetry);
            return Ok(One::Handled);
        }
        Err(error) => error.to_string(),
    };
    tx.rollback().await?;
    database
        .execute(
            "UPDATE parked_events SET error = $3, attempts = attempts + 1
             WHERE consumer = $1 AND event_id = $2",
            params![name, id, shortened(&error)],
        )
        .await?;
    Ok(One::Failed(error))
}
