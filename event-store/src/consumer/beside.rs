//! A projection is built a second time beside the one in use, and takes its place once it is as far.
//!
//! The second copy is a consumer of its own, `NAME@2`, with a checkpoint that is there for as long as it is
//! being built. Each act of an operator is one transaction of the service's database, so a crash leaves
//! what was before it or what is after it; what was handled is kept as any consumer keeps it.
//!
//! Invariant: whoever reads the projection sees one that has seen all events up to the consumer's
//! checkpoint, before, during and after the swap.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::Recorded;
use database::{Tx, params};
use faults::Write;
use uuid::Uuid;

use super::{
    Consumers, Handler, HandlerError, Kind, OperatorError, Order, Reader, Wake,
    attempt::call,
    checkpoint::{self, CONTROL, Checkpoint},
    split::{self, Change},
};
use crate::ReadQuery;

/// Positions that a swap may read on within its transaction, in which the consumer stands still: some
/// tens of milliseconds.
const MAX_BEHIND: i64 = 1_000;

/// The second copy of a projection.
#[async_trait]
pub trait Beside: Send + Sync + 'static {
    /// Makes it, empty.
    ///
    /// # Errors
    /// [`HandlerError`]; nothing has changed then.
    async fn begin(&self, tx: &mut Tx) -> Result<(), HandlerError>;

    /// Takes an event's effects into it, and into nothing else.
    ///
    /// # Errors
    /// As [`Handler::handle`].
    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError>;

    /// Puts it in the place of the one in use, which is no more then.
    ///
    /// # Errors
    /// [`HandlerError`]; nothing has changed then.
    async fn swap(&self, tx: &mut Tx) -> Result<(), HandlerError>;

    /// Removes it.
    ///
    /// # Errors
    /// [`HandlerError`]; nothing has changed then.
    async fn abandon(&self, tx: &mut Tx) -> Result<(), HandlerError>;
}

/// The consumer that builds it.
struct Second {
    name: &'static str,
    first: Arc<dyn Handler>,
    beside: Arc<dyn Beside>,
}

#[async_trait]
impl Handler for Second {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::Projection
    }

    fn types(&self) -> &'static [&'static str] {
        self.first.types()
    }

    fn order(&self) -> Order {
        self.first.order()
    }

    fn wake(&self) -> Wake {
        Wake::Seldom
    }

    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        self.beside.handle(tx, event).await
    }
}

/// The name of a consumer's second copy.
#[must_use]
pub fn second_of(name: &str) -> String {
    format!("{name}@2")
}

/// The reader of a handler's second copy, where it can have one.
pub(super) fn reader(first: &Arc<dyn Handler>) -> Option<Arc<Reader>> {
    let beside = first.beside()?;
    // Once for each consumer of a program, whose names are as long-lived.
    let name: &'static str = second_of(first.name()).leak();
    let handler = Second {
        name,
        first: Arc::clone(first),
        beside,
    };
    let handler: Arc<dyn Handler> = Arc::new(handler);
    Some(Arc::new(Reader::new(&handler, name, None)))
}

impl Consumers {
    /// Begins to build a projection again beside the one in use, from the log's beginning.
    ///
    /// # Errors
    /// [`OperatorError::NotBuiltBeside`], [`OperatorError::NotReplayable`].
    pub async fn rebuild(&self, name: &str) -> Result<(), OperatorError> {
        let (reader, beside) = self.built_beside(name)?;
        self.not_split(reader)?;
        if reader.handler.kind() == Kind::Process {
            return Err(OperatorError::NotReplayable(reader.name()));
        }
        let head = self.log.head().await?;
        let mut tx = self.database.begin().await?;
        let now = tx.now().await?;
        let begun = tx
            .execute(
                "INSERT INTO consumer_checkpoints (consumer, epoch, position, updated_at)
                 VALUES ($1, $2, 0, $3) ON CONFLICT (consumer) DO NOTHING",
                params![second_of(name), head.epoch, now],
            )
            .await?;
        if begun == 0 {
            let why = "its second copy is being built already: swap or abandon it first";
            return Err(refused(name, why));
        }
        beside.begin(&mut tx).await?;
        tx.signal(CONTROL);
        faults::before(Write::ConsumerRebuild);
        tx.commit().await?;
        faults::after(Write::ConsumerRebuild);
        Ok(())
    }

    /// Puts the second copy in the place of the one in use, once it has seen what that has seen; what
    /// little is missing it reads within the transaction.
    ///
    /// # Errors
    /// [`OperatorError::NotBuiltBeside`]: nothing has changed then.
    pub async fn swap(&self, name: &str) -> Result<(), OperatorError> {
        let (first, beside) = self.built_beside(name)?;
        self.not_split(first)?;
        let second = second_of(name);
        let unknown = || OperatorError::UnknownConsumer(second.clone());
        let second = *self.known(&second)?.first().ok_or_else(unknown)?;
        let head = self.log.head().await?;
        checkpoint::of(&self.database, first, head.epoch, Change::Never).await?;
        let mut tx = self.database.begin().await?;
        // In this order everywhere; consumers hold one of them each.
        let first_at = held(&mut tx, name).await?;
        let second_at = held(&mut tx, second.name()).await?;
        let (Some(first_at), Some(second_at)) = (first_at, second_at) else {
            return Err(refused(name, "no second copy of it is being built"));
        };
        if first_at.epoch != second_at.epoch || second_at.epoch != head.epoch {
            let why =
                "one of its copies belongs to another log: abandon the second, or adopt the log";
            return Err(refused(name, why));
        }
        if split::furthest(&self.database, name).await? > first_at.position {
            let why =
                "it has not passed all yet that its former parts had handled: try again later";
            return Err(refused(name, why));
        }
        if parked(&mut tx, second.name()).await? > 0 {
            let why = "events of its second copy are parked: retry or discard these first";
            return Err(refused(name, why));
        }
        self.read_on(&mut tx, second, second_at.position, first_at.position)
            .await?;
        beside.swap(&mut tx).await?;
        let position = first_at.position.max(second_at.position);
        let now = tx.now().await?;
        tx.execute(
            "UPDATE consumer_checkpoints SET position = $2, updated_at = $3 WHERE consumer = $1",
            params![name, position, now],
        )
        .await?;
        for signal in first.handler.signals() {
            tx.signal(signal);
        }
        // The second copy has handled what the first could not.
        forget(&mut tx, second.name(), name).await?;
        tx.signal(CONTROL);
        faults::before(Write::ConsumerSwap);
        tx.commit().await?;
        faults::after(Write::ConsumerSwap);
        Ok(())
    }

    /// Gives the second copy up.
    ///
    /// # Errors
    /// [`OperatorError::NotBuiltBeside`].
    pub async fn abandon(&self, name: &str) -> Result<(), OperatorError> {
        let (_, beside) = self.built_beside(name)?;
        let second = second_of(name);
        let mut tx = self.database.begin().await?;
        if held(&mut tx, &second).await?.is_none() {
            return Err(refused(name, "no second copy of it is being built"));
        }
        beside.abandon(&mut tx).await?;
        forget(&mut tx, &second, &second).await?;
        tx.signal(CONTROL);
        faults::before(Write::ConsumerAbandon);
        tx.commit().await?;
        faults::after(Write::ConsumerAbandon);
        Ok(())
    }

    /// Lets the second copy handle what the first has handled beyond it.
    async fn read_on(
        &self,
        tx: &mut Tx,
        second: &Arc<Reader>,
        after: i64,
        to: i64,
    ) -> Result<(), OperatorError> {
        let behind = to - after;
        if behind <= 0 {
            return Ok(());
        }
        if behind > MAX_BEHIND {
            let why =
                format!("its second copy is {behind} positions behind: wait until it is as far");
            return Err(refused(second.name(), &why));
        }
        let limit = u32::try_from(behind).unwrap_or(u32::MAX);
        let events = self.log.read(&ReadQuery::after(after).limit(limit)).await?;
        let is_whole = events.last().is_some_and(|last| last.position == to);
        if !is_whole {
            return Err(refused(
                second.name(),
                "the log does not have what is missing",
            ));
        }
        let wanted = events.into_iter().filter(|event| second.wants(event));
        let opened = self.log.personal().open(wanted.collect()).await;
        for event in opened.map_err(database::Error::from)? {
            call(&*second.handler, tx, &[&event]).await?;
        }
        Ok(())
    }

    fn built_beside(&self, name: &str) -> Result<(&Arc<Reader>, Arc<dyn Beside>), OperatorError> {
        let refuse = OperatorError::NotBuiltBeside;
        let reader = self.whole(name, "its second copy is the whole consumer's", refuse)?;
        let beside = reader.handler.beside();
        let why = "it cannot be built beside; to build it in its place: banyan consumers replay";
        let beside = beside.ok_or_else(|| refused(name, why))?;
        Ok((reader, beside))
    }

    /// Of a split consumer a second copy is only given up, where one was begun before.
    fn not_split(&self, reader: &Reader) -> Result<(), OperatorError> {
        if reader.is_split() {
            let why = "it is split by streams, and a second copy is not: build it anew in its place \
                       (banyan consumers replay), or start it in one part first";
            return Err(refused(reader.consumer(), why));
        }
        Ok(())
    }
}

fn refused(name: &str, why: &str) -> OperatorError {
    OperatorError::NotBuiltBeside(format!("{name}: {why}"))
}

/// A checkpoint, held still until the transaction ends.
async fn held(tx: &mut Tx, consumer: &str) -> Result<Option<Checkpoint>, database::Error> {
    let sql = "UPDATE consumer_checkpoints SET position = position WHERE consumer = $1
               RETURNING epoch, position, paused, edition";
    let row: Option<(Uuid, i64, bool, i64)> = tx.fetch_optional(sql, params![consumer]).await?;
    Ok(row.map(|(epoch, position, paused, edition)| Checkpoint {
        epoch,
        position,
        paused,
        edition,
    }))
}

async fn parked(tx: &mut Tx, consumer: &str) -> Result<i64, database::Error> {
    let sql = "SELECT COUNT(*) FROM parked_events WHERE consumer = $1";
    let (count,): (i64,) = tx.fetch_one(sql, params![consumer]).await?;
    Ok(count)
}

/// Removes a checkpoint, and what a consumer has parked.
async fn forget(tx: &mut Tx, checkpoint: &str, parked: &str) -> Result<(), database::Error> {
    let sql = "DELETE FROM consumer_checkpoints WHERE consumer = $1";
    tx.execute(sql, params![checkpoint]).await?;
    let sql = "DELETE FROM parked_events WHERE consumer = $1";
    tx.execute(sql, params![parked]).await?;
    Ok(())
}
