//! Gathers the appends that wait, and commits them together: one fsync for many callers, and no
//! artificial delay, since the next group forms while this one is written.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chassis::trace::Tracer;
use database::{Database, Dialect, Error};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use super::{
    append::{Append, AppendError, Appended, check},
    postgres, sqlite,
    wake::Heads,
    within,
};
use crate::{metrics::Appends, trace};

/// Callers that may wait; whoever comes then waits for a place, so a log that stalls holds its
/// callers back instead of growing.
const QUEUE: usize = 1_024;

/// Events in one group: beyond this a commit gets slower and not cheaper.
const MAX_GROUP: usize = 500;

/// What became of one caller's batch.
pub(super) type Outcome = Result<Vec<Appended>, AppendError>;

/// What became of a group, with the head after it.
pub(super) struct Written {
    pub(super) head: i64,
    pub(super) outcomes: Vec<Outcome>,
}

/// The sending side; the task ends when the last of them is dropped.
pub(super) struct GroupCommit {
    queue: mpsc::Sender<Request>,
}

struct Request {
    batches: Vec<Vec<Append>>,
    reply: oneshot::Sender<Vec<Outcome>>,
}

impl Request {
    fn events(&self) -> usize {
        self.batches.iter().map(Vec::len).sum()
    }
}

impl GroupCommit {
    pub(super) fn start(writer: Writer) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write_groups(writer, waiting).in_current_span());
        Self { queue }
    }

    pub(super) async fn append(&self, batches: Vec<Vec<Append>>) -> Vec<Outcome> {
        let count = batches.len();
        let checked: Vec<_> = batches.iter().map(|batch| check(batch)).collect();
        let mut refused = Vec::with_capacity(count);
        let mut sound = Vec::with_capacity(count);
        for (batch, check) in batches.into_iter().zip(checked) {
            match check {
                Ok(()) => {
                    sound.push(batch);
                    refused.push(None);
                }
                Err(error) => refused.push(Some(error)),
            }
        }
        let mut written = self.write(sound).await.into_iter();
        refused
            .into_iter()
            .map(|refusal| match refusal {
                Some(error) => Err(error),
                None => written.next().unwrap_or(Err(AppendError::Closed)),
            })
            .collect()
    }

    async fn write(&self, batches: Vec<Vec<Append>>) -> Vec<Outcome> {
        if batches.is_empty() {
            return Vec::new();
        }
        let (reply, answer) = oneshot::channel();
        let request = Request { batches, reply };
        if self.queue.send(request).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }
}

/// The receiving side.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) heads: Heads,
    pub(super) appends: Appends,
    pub(super) timeout: Duration,
}

async fn write_groups(writer: Writer, mut waiting: mpsc::Receiver<Request>) {
    while let Some(first) = waiting.recv().await {
        let mut events = first.events();
        let mut group = vec![first];
        while events < MAX_GROUP {
            let Ok(next) = waiting.try_recv() else { break };
            events += next.events();
            group.push(next);
        }
        writer.write_group(group).await;
    }
}

impl Writer {
    async fn write_group(&self, group: Vec<Request>) {
        let (replies, requests): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|request| (request.reply, request.batches))
            .unzip();
        let sizes: Vec<usize> = requests.iter().map(Vec::len).collect();
        let batches: Vec<Vec<Append>> = requests.into_iter().flatten().collect();
        let mut outcomes = self.write(&batches).await.into_iter();
        for (reply, size) in replies.into_iter().zip(sizes) {
            // A caller that no longer waits has its events in the log all the same.
            let _ = reply.send(outcomes.by_ref().take(size).collect());
        }
    }

    /// Writes all batches in one commit; when the group as a whole fails for another reason than
    /// the database being away, each batch for itself, so that nobody suffers for another's data.
    async fn write(&self, batches: &[Vec<Append>]) -> Vec<Outcome> {
        match self.commit(batches).await {
            Ok(outcomes) => outcomes,
            Err(error) if error.is_transient() || batches.len() == 1 => {
                let error = Arc::new(error);
                batches
                    .iter()
                    .map(|_| Err(AppendError::Unavailable(Arc::clone(&error))))
                    .collect()
            }
            Err(error) => {
                tracing::error!(%error, batches = batches.len(), "a group failed; each by itself");
                let mut outcomes = Vec::with_capacity(batches.len());
                for batch in batches {
                    let alone = self.commit(std::slice::from_ref(batch)).await;
                    outcomes.push(match alone {
                        Ok(mut one) => one.pop().unwrap_or(Err(AppendError::Closed)),
                        Err(error) => Err(AppendError::Unavailable(Arc::new(error))),
                    });
                }
                outcomes
            }
        }
    }

    async fn commit(&self, batches: &[Vec<Append>]) -> Result<Vec<Outcome>, Error> {
        let began = Instant::now();
        let events = batches.iter().flatten().map(|append| &append.event);
        let mut span = trace::moving(Tracer::of("log"), trace::SYSTEM, "log append", events);
        faults::before(faults::Write::LogAppend);
        let written = within(self.timeout, async {
            match self.database.dialect() {
                Dialect::Postgres => postgres::append(&self.database, batches).await,
                Dialect::Sqlite => sqlite::append(&self.database, batches).await,
            }
        })
        .await
        .inspect_err(|_| self.appends.failed());
        if let (Some(span), Err(error)) = (&mut span, &written) {
            span.fail("commit", error);
        }
        let written = written?;
        faults::after(faults::Write::LogAppend);
        if let Some(span) = &mut span {
            span.set("banyan.log.head", written.head);
        }
        let new = written
            .outcomes
            .iter()
            .flatten()
            .flatten()
            .filter(|a| !a.duplicate)
            .count();
        self.appends.committed(batches.len(), new, began.elapsed());
        self.heads.saw(written.head);
        Ok(written.outcomes)
    }
}
