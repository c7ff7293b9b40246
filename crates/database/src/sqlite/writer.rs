//! The connection that writes, and the units of work that share its commits.
//!
//! A unit is what a caller sees as a transaction. Units have the connection one after the other; one
//! that is done while the next already waits leaves the file's transaction open for it, as a
//! savepoint apart from its own, and its caller waits until the last of the group commits: one write
//! to the disk carries them all.
//!
//! Invariants:
//! - A unit that is taken back leaves nothing, whoever shares its group.
//! - A caller learns of its commit after it is durable. Later units of a group see what earlier ones
//!   did, and cannot become durable without them.
//! - Whoever took its unit back may know of what others of the group did: they are committed before it
//!   goes on, so that it finds in the file what it has seen.
//! - Whoever has the connection hands it on: to the next who waits, or, having committed, to rest.

mod group;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::Connection;
use tokio::{runtime::Handle, sync::oneshot};

use self::group::Lent;
use super::statement;
use crate::{
    Error, PoolState, Record, Result, Value,
    error::{closed, lost, no_connection},
    signal::Signals,
};

/// The way to the one connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    timeout: Duration,
    signals: Arc<Signals>,
}

struct Queue {
    resting: Option<Box<Lent>>,
    waiting: VecDeque<oneshot::Sender<Held>>,
    closed: bool,
}

impl Writer {
    pub(super) fn new(connection: Connection, timeout: Duration, signals: Arc<Signals>) -> Self {
        let queue = Queue {
            resting: Some(Box::new(Lent::new(connection))),
            waiting: VecDeque::new(),
            closed: false,
        };
        Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(queue),
                timeout,
                signals,
            }),
        }
    }

    /// Begins a unit, once it is its turn.
    pub(crate) async fn begin(&self) -> Result<Unit> {
        let mut held = self.acquire().await?;
        let place = if held.lent().is_open() {
            held.run("SAVEPOINT unit")?;
            Place::Later
        } else {
            held = begin_transaction(held).await?;
            Place::First
        };
        Ok(Unit {
            held: Some(held),
            place,
        })
    }

    async fn acquire(&self) -> Result<Held> {
        let turn = {
            let mut queue = self.shared.queue();
            if queue.closed {
                return Err(closed());
            }
            if let Some(lent) = queue.resting.take() {
                return Ok(Held {
                    lent: Some(lent),
                    shared: Arc::clone(&self.shared),
                });
            }
            let (sender, turn) = oneshot::channel();
            queue.waiting.push_back(sender);
            turn
        };
        match tokio::time::timeout(self.shared.timeout, turn).await {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(no_connection()),
        }
    }

    pub(crate) fn state(&self) -> PoolState {
        let queue = self.shared.queue();
        PoolState {
            name: "writer",
            open: u32::from(!queue.closed),
            idle: u32::from(queue.resting.is_some()),
            max: 1,
        }
    }

    /// Closes the connection once whoever has it or waits for it is done.
    pub(super) async fn close(&self) {
        let Ok(mut held) = self.acquire().await else {
            return;
        };
        self.shared.queue().closed = true;
        if let Some(mut lent) = held.lent.take() {
            lent.settle(&self.shared.signals);
        }
        self.shared.queue().waiting.clear();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the connection to whoever is next, or to rest.
    fn hand_on(self: &Arc<Self>, mut lent: Box<Lent>) {
        loop {
            if lent.is_open() && lent.is_empty() {
                // The only unit was taken back.
                lent.settle(&self.signals);
            }
            if lent.may_grow() {
                let mut queue = self.queue();
                let Some(next) = queue.waiting.pop_front() else {
                    if !lent.is_open() {
                        queue.resting = Some(lent);
                        return;
                    }
                    drop(queue);
                    return self.commit(lent);
                };
                drop(queue);
                let held = Held {
                    lent: Some(lent),
                    shared: Arc::clone(self),
                };
                let Err(mut refused) = next.send(held) else {
                    return;
                };
                // Whoever waited gave up.
                match refused.lent.take() {
                    Some(back) => lent = back,
                    None => return,
                }
            } else {
                return self.commit(lent);
            }
        }
    }

    /// Commits the group, and hands the connection on: here where the disk is quick, else on a thread
    /// that may wait for it.
    fn commit(self: &Arc<Self>, mut lent: Box<Lent>) {
        let stays_here = lent.commits_quickly();
        let shared = Arc::clone(self);
        let commit = move || {
            lent.settle(&shared.signals);
            shared.tidy(lent);
        };
        elsewhere_unless(stays_here, commit);
    }

    /// Copies what was written ahead into the file once that is much, and hands the connection on. Those
    /// whose units were committed know it already.
    fn tidy(self: &Arc<Self>, mut lent: Box<Lent>) {
        if !lent.is_much_ahead() {
            return self.hand_on(lent);
        }
        let shared = Arc::clone(self);
        let copy = move || {
            lent.copy();
            shared.hand_on(lent);
        };
        elsewhere_unless(false, copy);
    }
}

/// Does what may wait for the disk: on a thread for that, where there is one and `stays_here` is not so.
fn elsewhere_unless(stays_here: bool, work: impl FnOnce() + Send + 'static) {
    match Handle::try_current() {
        Ok(runtime) if !stays_here && faults::simulated().is_none() => {
            drop(runtime.spawn_blocking(work));
        }
        _ => work(),
    }
}

/// The connection, in somebody's hands; dropping this hands it on.
struct Held {
    lent: Option<Box<Lent>>,
    shared: Arc<Shared>,
}

impl Held {
    fn lent(&mut self) -> &mut Lent {
        self.lent
            .as_mut()
            .expect("it is taken out only where this is given up")
    }

    fn run(&mut self, text: &'static str) -> Result<()> {
        statement::execute(self.lent().connection(), text, &[]).map(|_| ())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lent) = self.lent.take() {
            self.shared.hand_on(lent);
        }
    }
}

/// Begins the file's transaction. Another process may be writing; it is waited for elsewhere.
async fn begin_transaction(mut held: Held) -> Result<Held> {
    const BEGIN: &str = "BEGIN IMMEDIATE";
    let timeout = held.shared.timeout;
    let lent = held.lent();
    lent.connection().busy_timeout(Duration::ZERO)?;
    let begun = statement::execute(lent.connection(), BEGIN, &[]);
    lent.connection().busy_timeout(timeout)?;
    if let Err(Error::Contention(_)) = begun {
        let waiting = tokio::task::spawn_blocking(move || {
            held.run(BEGIN)?;
            Ok(held)
        });
        return waiting
            .await
            .map_err(|error| Error::Unavailable(error.into()))?;
    }
    begun?;
    Ok(held)
}

/// A unit of work. Dropping it without [`Unit::commit`] takes it back.
pub(crate) struct Unit {
    /// `None` once it was committed.
    held: Option<Held>,
    place: Place,
}

/// A unit's place in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The transaction is its own until it is done.
    First,
    /// Others' units are in the transaction; it has a savepoint.
    Later,
}

impl Unit {
    pub(crate) fn execute(&mut self, text: &str, values: &[Value]) -> Result<u64> {
        statement::execute(self.connection()?, text, values)
    }

    pub(crate) fn execute_each(&mut self, text: &str, rows: &[Vec<Value>]) -> Result<u64> {
        statement::execute_each(self.connection()?, text, rows)
    }

    pub(crate) fn fetch_all<T: Record>(&mut self, text: &str, values: &[Value]) -> Result<Vec<T>> {
        statement::fetch_all(self.connection()?, text, values)
    }

    pub(crate) fn fetch_optional<T: Record>(
        &mut self,
        text: &str,
        values: &[Value],
    ) -> Result<Option<T>> {
        statement::fetch_optional(self.connection()?, text, values)
    }

    /// Runs a script of several statements.
    pub(crate) fn run_script(&mut self, script: &str) -> Result<()> {
        Ok(self.connection()?.execute_batch(script)?)
    }

    /// Makes it durable, with its group, then raises its signals.
    pub(crate) async fn commit(mut self, signals: Vec<&'static str>) -> Result<()> {
        self.connection()?;
        let Some(mut held) = self.held.take() else {
            return Err(lost());
        };
        if self.place == Place::Later
            && let Err(error) = held.run("RELEASE unit")
        {
            self.held = Some(held);
            return Err(error);
        }
        let told = held.lent().add(signals);
        drop(held);
        told.await
            .map_err(|_| closed())?
            .map_err(|failure| failure.error())
    }

    /// The connection, as long as the transaction is open: SQLite takes it back by itself when it
    /// finds no room or cannot write, and what follows must not run outside of it.
    fn connection(&mut self) -> Result<&Connection> {
        let held = self.held.as_mut().ok_or_else(lost)?;
        let lent = held.lent();
        if lent.is_open() {
            Ok(lent.connection())
        } else {
            Err(lost())
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let Some(held) = &mut self.held else {
            return;
        };
        if self.place == Place::First || !held.lent().is_open() {
            // Whoever hands an empty group on ends its transaction.
            return;
        }
        let taken_back = held
            .run("ROLLBACK TO unit")
            .and_then(|()| held.run("RELEASE unit"));
        let shared = Arc::clone(&held.shared);
        let lent = held.lent();
        if let Err(error) = taken_back {
            tracing::error!(%error, "a unit cannot be taken back; its group is");
            let _ = statement::execute(lent.connection(), "ROLLBACK", &[]);
        }
        // Here and not on another thread: it is seldom, and must be done when this returns.
        lent.settle(&shared.signals);
    }
}
