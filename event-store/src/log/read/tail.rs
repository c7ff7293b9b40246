//! The log as a stream that never ends: first what is there, then each event as it comes.

use std::{fmt, time::Duration, vec};

use contracts::Recorded;
use database::Error;
use futures::{Stream, stream};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Direction, Head, ReadQuery};
use crate::Log;

/// Events that a tail holds at most. Its reader decides the pace: nothing is read ahead of the page.
const PAGE: u32 = 128;

/// A tail that heard of nothing for this long looks at the log by itself.
const IDLE: Duration = Duration::from_secs(5);

/// The pause after the first failure to read; it doubles up to [`MAX_BACKOFF`].
const BACKOFF: Duration = Duration::from_millis(50);

/// The longest pause between two tries during an outage.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The log is not the one that the tail was reading: it was restored from a backup, or has lost
/// events. The tail goes on by itself after the newest position that both have, so what comes next
/// may be what the reader had at other positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The identity of the log before, and how far the tail had read it.
    pub before: Head,
    /// The log as it is now.
    pub now: Head,
    /// Where the tail goes on: after this position.
    pub after: i64,
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, now, after } = self;
        write!(
            f,
            "the log was {} and read up to {}, and now is {} with the head {}: it was restored from \
             a backup or has lost events; going on after {after}",
            before.epoch, before.position, now.epoch, now.position
        )
    }
}

impl std::error::Error for Replaced {}

impl Log {
    /// All events that the query selects, from its position on and then as they come, in the log's
    /// order and without a hole. A query that reads backward stands for its head: only what is
    /// appended after the first poll. Its limit is of no importance.
    ///
    /// It never ends by itself. An outage of the log is waited for; a log that was replaced is told
    /// by one error, after which it goes on, see [`Replaced`]. It holds at most one page of
    /// 128 events, and reads the next one when that is taken.
    pub fn tail(
        &self,
        query: ReadQuery,
    ) -> impl Stream<Item = Result<Recorded, Replaced>> + Send + use<> {
        let tail = Tail {
            log: self.clone(),
            appended: self.appended(),
            query: query.limit(PAGE),
            epoch: None,
            page: Vec::new().into_iter(),
            read_up_to: 0,
            failures: 0,
        };
        stream::unfold(tail, |mut tail| async move {
            let item = tail.next().await;
            Some((item, tail))
        })
    }
}

struct Tail {
    log: Log,
    appended: watch::Receiver<i64>,
    query: ReadQuery,
    /// The log that it reads; none before it has read.
    epoch: Option<Uuid>,
    page: vec::IntoIter<Recorded>,
    /// With the page all that is selected up to here was read.
    read_up_to: i64,
    failures: u32,
}

/// What a look at the log came to.
enum Looked {
    /// There may be more at once.
    Again,
    /// Nothing beyond what was read.
    AtHead,
    Replaced(Replaced),
}

impl Tail {
    async fn next(&mut self) -> Result<Recorded, Replaced> {
        loop {
            if let Some(event) = self.page.next() {
                self.query.pass(&event);
                return Ok(event);
            }
            self.query.pass_to(self.read_up_to);
            self.appended.borrow_and_update();
            match self.look().await {
                Ok(looked) => {
                    self.failures = 0;
                    match looked {
                        Looked::Again => {}
                        Looked::Replaced(replaced) => return Err(replaced),
                        Looked::AtHead => {
                            // Late news and lost ones are both made up for by the next look.
                            let _ = tokio::time::timeout(IDLE, self.appended.changed()).await;
                        }
                    }
                }
                Err(error) => self.wait_out(&error).await,
            }
        }
    }

    async fn look(&mut self) -> Result<Looked, Error> {
        // Before the page: what was committed by now is in it, or does not fit into it.
        let head = self.log.head().await?;
        let epoch = *self.epoch.get_or_insert(head.epoch);
        self.query.turn_to_what_comes(head.position);
        if epoch != head.epoch || self.query.position() > head.position {
            return self.replaced(epoch, head).await.map(Looked::Replaced);
        }
        let events = self.log.read(&self.query).await?;
        if events.iter().any(|event| event.epoch != epoch) {
            // It was replaced between the two statements; the next look tells.
            return Ok(Looked::Again);
        }
        let is_all = events.len() < PAGE as usize;
        let at_head = events.is_empty();
        self.page = events.into_iter();
        self.read_up_to = if is_all { head.position } else { 0 };
        Ok(if at_head {
            Looked::AtHead
        } else {
            Looked::Again
        })
    }

    async fn replaced(&mut self, epoch: Uuid, now: Head) -> Result<Replaced, Error> {
        let position = self.query.position();
        let shared = if epoch == now.epoch {
            now.position
        } else {
            self.log.shared_with(epoch).await?.unwrap_or(0)
        };
        let after = position.min(shared);
        self.epoch = Some(now.epoch);
        self.read_up_to = 0;
        self.query.go_back_to(after);
        let before = Head { epoch, position };
        let replaced = Replaced { before, now, after };
        tracing::error!(%replaced, "tail");
        Ok(replaced)
    }

    async fn wait_out(&mut self, error: &Error) {
        if self.failures == 0 {
            let after = self.query.position();
            tracing::warn!(%error, after, "a tail cannot read the log; it goes on trying");
        }
        let pause = BACKOFF.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(pause.min(MAX_BACKOFF)).await;
    }
}

/// How a tail moves its query on.
impl ReadQuery {
    const fn position(&self) -> i64 {
        self.from
    }

    fn pass(&mut self, event: &Recorded) {
        self.from = event.position;
        if self.stream.is_some() {
            self.version = event.event.version;
        }
    }

    fn pass_to(&mut self, position: i64) {
        self.from = self.from.max(position);
    }

    /// Versions are forgotten: another log may have given them to other events.
    fn go_back_to(&mut self, position: i64) {
        self.from = position;
        self.version = 0;
    }

    fn turn_to_what_comes(&mut self, head: i64) {
        if self.direction == Direction::Backward {
            self.direction = Direction::Forward;
            self.go_back_to(head);
        }
    }
}
