//! Timers: any replica may fire one; the lock on its saga makes one of them win.

use std::time::Duration;

use chassis::Shutdown;
use database::{Timestamp, Tx};
use event_store::consumer::Progress;
use faults::{Mutation, Write};
use tokio::{sync::watch, time::Instant};

use super::{
    Inner,
    guard::guarded,
    moves::{Steering, TIMERS},
};
use crate::{
    Error, Saga,
    store::{self, Due},
    trace,
    transition::{IllegalMove, Input},
};

/// Timers fired in one look at the table, and in one transaction.
const BATCH: i64 = 64;

/// The longest sleep: another replica may have set a nearer timer, and only what this process commits
/// wakes us.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How long a deadline waits for the consumer to read what lies in the log. A consumer that is
/// further behind, or a log that is down, must not keep sagas from ending.
const FENCE: Duration = Duration::from_secs(2);

/// The pause after firing failed once; it doubles up to [`LONGEST_PUT_OFF`].
const PUT_OFF: Duration = Duration::from_secs(1);

/// A saga that cannot be read or moved is looked at again this rarely, and does not hold up others.
const LONGEST_PUT_OFF: Duration = Duration::from_secs(300);

/// After this many failures a saga's timer is only put off at the longest pause, and said aloud as
/// an error: a person must look.
const LOUD_AFTER: u32 = 5;

/// When the nearest of the timers runs out that this process has set since the table was looked at. Most
/// are never looked at: their sagas go on long before.
#[derive(Default)]
pub(super) struct Alarm(watch::Sender<Option<Timestamp>>);

impl Alarm {
    /// A commit has set a timer for `due`.
    pub(super) fn is_set_for(&self, due: Timestamp) {
        self.0.send_if_modified(|nearest| {
            let is_nearer = nearest.is_none_or(|nearest| due < nearest);
            if is_nearer {
                *nearest = Some(due);
            }
            is_nearer
        });
    }

    /// Who looks at the table now finds all that was set.
    fn forget(&self) {
        self.0.send_replace(None);
    }
}

/// Fires what is due, until the shutdown.
pub(super) async fn run(inner: &Inner, replies: Option<&Progress>, shutdown: &Shutdown) {
    let mut changed = inner.database.signal(TIMERS);
    let mut set = inner.alarm.0.subscribe();
    while !shutdown.is_cancelled() {
        changed.borrow_and_update();
        inner.alarm.forget();
        set.borrow_and_update();
        let next = match inner.fire_due(replies, shutdown).await {
            Ok(Some(at)) => at,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(%error, "due timers of sagas could not be read");
                Next {
                    now: Timestamp::from_micros(0),
                    at: None,
                }
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = changed.changed() => {}
            () = tokio::time::sleep(LONGEST_SLEEP) => {}
            () = inner.nearest(next, &mut set) => {}
        }
    }
}

/// What came of firing timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fired {
    /// One of them fired, or is no longer there.
    Settled,
    /// None is due, or no longer.
    NotYet,
}

/// What came of firing one timer.
enum FiredOne {
    /// It moved its saga.
    Moved,
    /// It is no longer there.
    Gone,
    /// It is not due, or no longer.
    NotYet,
}

/// Until when nothing is due.
struct Next {
    now: Timestamp,
    at: Option<Timestamp>,
}

impl Inner {
    /// Waits until the nearest timer runs out: of those that were there, and those that are set meanwhile.
    async fn nearest(&self, next: Next, set: &mut watch::Receiver<Option<Timestamp>>) {
        let (begun, mut at) = (Instant::now(), next.at);
        loop {
            let now = next.now + begun.elapsed();
            let runs_out = async {
                match at {
                    Some(at) => self.clock.wait_until(now, at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = runs_out => return,
                Ok(()) = set.changed() => at = at.into_iter().chain(*set.borrow_and_update()).min(),
            }
        }
    }

    /// Fires one batch; `None` when there may be more.
    async fn fire_due(
        &self,
        replies: Option<&Progress>,
        shutdown: &Shutdown,
    ) -> Result<Option<Next>, Error> {
        let now = match faults::is_on(Mutation::DeadlineByLocalClock) {
            true => Timestamp::system(),
            false => self.clock.now(&self.database).await?,
        };
        let due = store::due(&self.database, now, BATCH).await?;
        if due.is_empty() {
            let at = store::nearest(&self.database).await?;
            return Ok(Some(Next { now, at }));
        }
        self.read_what_lies_in_the_log(replies, shutdown).await;
        let went_on = match guarded("timers", self.fire(&due)).await {
            Ok(Fired::Settled) => true,
            Ok(Fired::NotYet) => false,
            Err(error) => match due.as_slice() {
                [alone] => {
                    self.put_off(alone, now, &error).await?;
                    true
                }
                // One that fails takes the others' transaction with it, so each has its own then.
                several => self.fire_each(several, now, shutdown).await?,
            },
        };
        // Where a clock went back, none of them is due any more: not to be asked about at once.
        Ok((!went_on).then_some(Next { now, at: None }))
    }

    /// A reply that already lies in the log wins over a deadline: waits, bounded, until the
    /// consumer of this process has read up to the head of this moment.
    async fn read_what_lies_in_the_log(&self, replies: Option<&Progress>, shutdown: &Shutdown) {
        let Some(replies) = replies else { return };
        let caught_up = async {
            match self.log.head().await {
                Ok(head) => replies.caught_up_to(head.position).await,
                Err(error) => tracing::warn!(%error, "deadlines fire without a look at the log"),
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            waited = tokio::time::timeout(FENCE, caught_up) => {
                if waited.is_err() {
                    tracing::warn!("deadlines fire although the consumer of replies is behind");
                }
            }
        }
    }

    /// Fires timers in a transaction each; whether one of them is settled.
    async fn fire_each(
        &self,
        due: &[Due],
        now: Timestamp,
        shutdown: &Shutdown,
    ) -> Result<bool, Error> {
        let mut went_on = false;
        for timer in due {
            if shutdown.is_cancelled() {
                break;
            }
            match guarded(&timer.step, self.fire(std::slice::from_ref(timer))).await {
                Ok(Fired::Settled) => went_on = true,
                Ok(Fired::NotYet) => {}
                Err(error) => {
                    self.put_off(timer, now, &error).await?;
                    went_on = true;
                }
            }
        }
        Ok(went_on)
    }

    /// Fires timers in one transaction: settled when one of them is.
    async fn fire(&self, due: &[Due]) -> Result<Fired, Error> {
        let mut tx = self.database.begin().await?;
        let ids = due.iter().map(|due| due.saga).collect();
        let mut sagas = store::lock_all(&mut tx, ids).await?;
        let mut moved = Vec::new();
        let mut came_to = Fired::NotYet;
        for due in due {
            let fired = match sagas.get_mut(&due.saga) {
                Some(saga) => self.fire_one(&mut tx, saga, due).await?,
                None => FiredOne::Gone,
            };
            match fired {
                FiredOne::Moved => moved.push(due),
                FiredOne::Gone => {}
                FiredOne::NotYet => continue,
            }
            came_to = Fired::Settled;
        }
        if came_to == Fired::NotYet {
            return Ok(came_to);
        }
        self.write(&mut tx, sagas.values_mut()).await?;
        let write = match moved.is_empty() {
            true => Write::DeadlineClear,
            false => Write::DeadlineFire,
        };
        faults::before(write);
        tx.commit().await?;
        faults::after(write);
        for due in moved {
            if let Some(saga) = sagas.get(&due.saga) {
                let late = saga.updated_at.since(due.due_at);
                self.metrics.fired(due.timer, late);
            }
        }
        Ok(came_to)
    }

    async fn fire_one(&self, tx: &mut Tx, saga: &mut Saga, due: &Due) -> Result<FiredOne, Error> {
        let Some(workflow) = self.workflows.of(saga).cloned() else {
            self.suspend(tx, saga).await?;
            return Ok(FiredOne::Gone);
        };
        let has = saga
            .step(&due.step)
            .is_some_and(|step| step.timers.contains_key(&due.timer));
        if !has || saga.state.suspended.is_some() {
            // Another timer of this batch, or another replica, went first.
            store::clear_timer(tx, due).await?;
            return Ok(FiredOne::Gone);
        }
        let input = Input::Due {
            step: due.step.clone(),
            timer: due.timer,
        };
        let steering = Steering::going_on();
        let span = trace::firing(self.outbox.service_id(), saga, &due.step, due.timer);
        let moving = self.move_saga(tx, saga, workflow.as_ref(), steering, input);
        match span.scope(moving).await {
            // Set anew by another replica since it was read; the table has its new time.
            Err(Error::Illegal(IllegalMove::NotDue { .. })) => Ok(FiredOne::NotYet),
            moved => moved.map(|()| FiredOne::Moved),
        }
    }

    async fn put_off(&self, due: &Due, now: Timestamp, error: &Error) -> Result<(), Error> {
        let doublings = due.failures.min(16);
        let pause = PUT_OFF.saturating_mul(1 << doublings).min(LONGEST_PUT_OFF);
        if due.failures >= LOUD_AFTER {
            tracing::error!(saga = %due.saga, step = due.step, %error, "a saga stands still");
        } else {
            tracing::warn!(saga = %due.saga, step = due.step, %error, "a timer did not fire");
        }
        self.metrics.stuck();
        faults::before(Write::DeadlinePutOff);
        store::put_off(&self.database, due, now, pause).await?;
        faults::after(Write::DeadlinePutOff);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_nearer_timer_wakes() {
        let alarm = Alarm::default();
        let wakes = |due: i64| {
            let set = alarm.0.subscribe();
            alarm.is_set_for(Timestamp::from_micros(due));
            set.has_changed().unwrap()
        };
        assert_eq!([7, 9, 7, 5].map(wakes), [true, false, false, true]);
        alarm.forget();
        assert!(wakes(9), "who looked knows nothing of it");
    }
}
