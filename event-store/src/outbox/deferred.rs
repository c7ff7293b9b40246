//! Events that wait for their transaction's commit, so that all of them are written together.
//!
//! Invariant: a transaction whose events could not be written does not commit, whoever looked away.

use std::collections::{HashMap, HashSet};

use chassis::trace::TraceContext;
use contracts::Event;
use database::{Error, Tx, Writing};
use faults::Write;
use futures::FutureExt;
use uuid::Uuid;

use super::{NewEvent, Outbox, writing};

/// The events, in their order.
#[derive(Clone, Default)]
pub(super) struct Deferred {
    events: Vec<Waiting>,
    failed: bool,
}

#[derive(Clone)]
struct Waiting {
    outbox: Outbox,
    new: NewEvent,
    id: Uuid,
    /// The work that writes it.
    current: Option<TraceContext>,
}

impl Deferred {
    pub(super) fn add(&mut self, outbox: &Outbox, news: Vec<NewEvent>) {
        let current = TraceContext::current();
        self.events.extend(news.into_iter().map(|new| Waiting {
            outbox: outbox.clone(),
            id: new.id.unwrap_or_else(Uuid::now_v7),
            new,
            current,
        }));
    }

    /// Writes all that wait in `tx`; as they lie in the outbox.
    pub(super) async fn write_now(tx: &mut Tx) -> Result<Vec<Event>, Error> {
        let waiting = std::mem::take(&mut tx.deferred::<Self>().events);
        let written = write(tx, waiting).await;
        tx.deferred::<Self>().failed |= written.is_err();
        written
    }
}

impl database::Deferred for Deferred {
    fn write(self, tx: &mut Tx) -> Writing<'_> {
        Box::pin(async move {
            if self.failed {
                let reason = "an event of this transaction could not be written";
                return Err(Error::Query(reason.into()));
            }
            write(tx, self.events).await.map(|_| ())
        })
    }
}

async fn write(tx: &mut Tx, mut waiting: Vec<Waiting>) -> Result<Vec<Event>, Error> {
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    // A new id is nobody else's.
    let given = waiting.iter().filter_map(|waiting| waiting.new.id);
    let mut known: HashMap<Uuid, Event> = writing::known(tx, given.collect()).await?;
    let ids: Vec<Uuid> = waiting.iter().map(|waiting| waiting.id).collect();
    let mut seen: HashSet<Uuid> = known.keys().copied().collect();
    waiting.retain(|waiting| seen.insert(waiting.id));
    for waiting in &mut waiting {
        waiting.new.id = Some(waiting.id);
        if !waiting.new.personal.is_empty() {
            // Before any stream is locked. Boxed, so that who writes no such event carries nothing of it
            // about.
            waiting.outbox.seal(&mut waiting.new).boxed().await?;
        }
    }
    let streams = waiting.iter().map(|waiting| waiting.new.stream_name());
    let mut versions = writing::raise(tx, streams).await?;
    let mut written = Vec::with_capacity(waiting.len());
    for Waiting {
        outbox,
        new,
        current,
        ..
    } in waiting
    {
        let version = versions.next(new.stream_name()).ok_or(Error::NotFound)?;
        written.push(outbox.event(new, current, version, versions.now)?);
    }
    faults::before(Write::OutboxRows);
    writing::insert(tx, &written, versions.now).await?;
    faults::after(Write::OutboxRows);
    known.extend(written.into_iter().map(|event| (event.id, event)));
    let lies = |id: Uuid| known.get(&id).cloned().ok_or(Error::NotFound);
    ids.into_iter().map(lies).collect()
}
