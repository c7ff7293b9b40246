//! A replica whose own clock is wrong: deadlines are the database's.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use async_trait::async_trait;
use database::{Database, Error, Timestamp, Tx};
use faults::{Mutation, SwitchedHere};
use sagas::{Clock, ManualClock, Phase, Timer};
use testkit::{Backend, both_databases, eventually};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    order::Conduct,
    process::Parts,
    world::{PATIENCE, World},
};

both_databases!(
    a_replica_that_is_a_minute_ahead_fires_no_deadline_early,
    a_deadline_by_the_clock_of_a_replica_is_found,
);

/// The database's clock, in the hands of a test, which sees who looks at it.
#[derive(Clone)]
struct Watched {
    clock: ManualClock,
    seen: watch::Sender<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// How often somebody asked what is due.
    looks: u64,
    /// The look after which somebody waits, and for when.
    waits: Option<(u64, Timestamp)>,
}

impl Watched {
    /// A minute behind this machine's clock: a replica here is a minute ahead.
    fn new() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            clock: ManualClock::at(Timestamp::system() - minute),
            seen: watch::Sender::default(),
        }
    }
}

#[async_trait]
impl Clock for Watched {
    async fn now(&self, database: &Database) -> Result<Timestamp, Error> {
        self.seen.send_modify(|seen| seen.looks += 1);
        self.clock.now(database).await
    }

    async fn now_within(&self, tx: &mut Tx) -> Result<Timestamp, Error> {
        self.clock.now_within(tx).await
    }

    async fn wait_until(&self, now: Timestamp, at: Timestamp) {
        self.seen
            .send_modify(|seen| seen.waits = Some((seen.looks, at)));
        self.clock.wait_until(now, at).await;
    }
}

/// Starts a saga that nobody answers. Either the engine looks, finds nothing due and waits for the
/// deadline, or the saga turns back before its time.
async fn looks_at_a_deadline_that_is_not_due(world: &World) -> Result<(), String> {
    let watched = Watched::new();
    let clock: Arc<dyn Clock> = Arc::new(watched.clone());
    let process = world.spawn_with(clock, Parts::TimersOnly, &[1]).await;
    world.plan.set("pay", Conduct::Silent);
    let id = Uuid::now_v7();
    // As it was then: where the clock is wrong, it may have turned back by now.
    let saga = process.start(id).await.expect("a started saga");
    let due = saga.step("pay").expect("a step").timers[&Timer::Deadline];
    let looks = watched.seen.borrow().looks;
    let looked = eventually(PATIENCE, || async {
        let phase = process.engine.load(id).await.expect("a saga").phase();
        if phase != Phase::Running {
            let phase = phase.as_str();
            return ControlFlow::Break(Err(format!("a minute before its deadline it is {phase}")));
        }
        match watched.seen.borrow().waits {
            Some((look, at)) if look > looks && at == due => ControlFlow::Break(Ok(())),
            seen => ControlFlow::Continue(format!("{seen:?}, the deadline is {due:?}")),
        }
    })
    .await;
    process.stop().await;
    looked
}

async fn a_replica_that_is_a_minute_ahead_fires_no_deadline_early(backend: Backend) {
    let world = World::asleep(backend).await;
    let looked = looks_at_a_deadline_that_is_not_due(&world).await;
    assert_eq!(looked, Ok(()));
}

async fn a_deadline_by_the_clock_of_a_replica_is_found(backend: Backend) {
    let world = World::asleep(backend).await;
    let mutated = SwitchedHere::on(Mutation::DeadlineByLocalClock);
    let looked = looks_at_a_deadline_that_is_not_due(&world).await;
    drop(mutated);
    assert_eq!(
        looked,
        Err("a minute before its deadline it is compensating".to_owned())
    );
}
