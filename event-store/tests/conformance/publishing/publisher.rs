use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bus::{Bus, BusError, Memory, Subscription};
use chassis::Shutdown;
use contracts::Recorded;
use database::params;
use event_store::{
    Log, ReadQuery,
    publisher::{self, Publisher, PublisherState},
};
use testkit::{Backend, eventually};
use tokio::{sync::watch, task::JoinHandle};

use crate::fixture::{PATIENCE, append_to, open_log, soon};

testkit::both_databases!(
    the_log_is_forwarded_in_order_and_goes_on_after_a_restart,
    a_bus_that_is_away_is_tried_again_and_nothing_is_left_out,
    of_two_publishers_one_forwards_and_the_other_takes_over,
    a_cursor_of_another_log_is_refused,
    with_a_log_that_was_restored_the_publisher_goes_on_behind_what_the_bus_has,
);

/// A bus that keeps what it got, when it is well.
#[derive(Default)]
struct Shelf {
    got: Mutex<Vec<i64>>,
    away: AtomicBool,
}

#[async_trait]
impl Bus for Shelf {
    async fn publish(&self, events: &[Recorded]) -> Result<(), BusError> {
        // A bus that fails may have taken a part.
        let taken = if self.away.load(Ordering::Acquire) {
            1
        } else {
            events.len()
        };
        let positions = events.iter().map(|event| event.position);
        self.got.lock().unwrap().extend(positions.take(taken));
        if taken == events.len() {
            Ok(())
        } else {
            Err(BusError::Unavailable("away".to_owned()))
        }
    }
    async fn subscribe(&self) -> Result<Subscription, BusError> {
        Err(BusError::Refused("nobody reads this".to_owned()))
    }
    fn status(&self) -> bus::BusStatus {
        bus::BusStatus::default()
    }

    fn memory(&self) -> Memory {
        Memory::Durable
    }
    fn name(&self) -> &'static str {
        "shelf"
    }
}

struct Running {
    state: watch::Receiver<PublisherState>,
    stop: Shutdown,
    task: JoinHandle<()>,
}

fn start(log: &Log, bus: &Arc<Shelf>) -> Running {
    let publisher = Publisher::new(log.clone(), bus.clone());
    let state = publisher.state();
    let stop = Shutdown::new();
    let task = tokio::spawn(publisher.run(stop.clone()));
    Running { state, stop, task }
}

impl Running {
    async fn forwarded(&mut self, position: i64) {
        let there = PublisherState::Forwarding(position);
        soon(self.state.wait_for(|state| *state == there))
            .await
            .expect("it runs");
    }

    async fn stop(self) {
        self.stop.trigger();
        soon(self.task).await.expect("the publisher ends");
    }
}

async fn the_log_is_forwarded_in_order_and_goes_on_after_a_restart(backend: Backend) {
    let log = open_log(&backend).await;
    let bus = Arc::new(Shelf::default());
    append_to(&log, &["a", "b", "c"]).await;
    let mut running = start(&log, &bus);
    running.forwarded(3).await;
    append_to(&log, &["a"]).await;
    running.forwarded(4).await;
    running.stop().await;
    append_to(&log, &["b"]).await;
    let mut running = start(&log, &bus);
    running.forwarded(5).await;
    running.stop().await;
    assert_eq!(*bus.got.lock().unwrap(), [1, 2, 3, 4, 5]);
}

async fn a_bus_that_is_away_is_tried_again_and_nothing_is_left_out(backend: Backend) {
    let log = open_log(&backend).await;
    let bus = Arc::new(Shelf::default());
    bus.away.store(true, Ordering::Release);
    append_to(&log, &["a", "b", "c"]).await;
    let mut running = start(&log, &bus);
    let failing = |state: &PublisherState| matches!(state, PublisherState::Failing(_));
    soon(running.state.wait_for(failing)).await.unwrap();
    bus.away.store(false, Ordering::Release);
    running.forwarded(3).await;
    let got = bus.got.lock().unwrap().clone();
    assert_eq!(got[got.len() - 3..], [1, 2, 3]);
    running.stop().await;
}

async fn of_two_publishers_one_forwards_and_the_other_takes_over(backend: Backend) {
    let log = open_log(&backend).await;
    let bus = Arc::new(Shelf::default());
    let mut first = start(&log, &bus);
    append_to(&log, &["a"]).await;
    first.forwarded(1).await;
    // On PostgreSQL the second waits; on SQLite, where it can only be a successor, it takes over.
    let mut second = start(&log, &bus);
    append_to(&log, &["a"]).await;
    eventually(PATIENCE, || async {
        bus.got.lock().unwrap().last() == Some(&2)
    })
    .await;
    first.stop().await;
    append_to(&log, &["a"]).await;
    second.forwarded(3).await;
    second.stop().await;
    let mut got = bus.got.lock().unwrap().clone();
    got.dedup();
    assert_eq!(got.iter().copied().filter(|p| *p == 3).count(), 1);
}

async fn a_cursor_of_another_log_is_refused(backend: Backend) {
    let log = open_log(&backend).await;
    let bus = Arc::new(Shelf::default());
    append_to(&log, &["a"]).await;
    let now = log.database().now().await.unwrap();
    let sql = "INSERT INTO publisher_cursors (bus, epoch, position, updated_at)
               VALUES ('shelf', $1, 0, $2)";
    log.database()
        .execute(sql, params![uuid::Uuid::now_v7(), now])
        .await
        .unwrap();
    let mut running = start(&log, &bus);
    let refused = |state: &PublisherState| matches!(state, PublisherState::Refused(_));
    soon(running.state.wait_for(refused)).await.unwrap();
    assert!(bus.got.lock().unwrap().is_empty());
    running.stop().await;
}

async fn with_a_log_that_was_restored_the_publisher_goes_on_behind_what_the_bus_has(
    backend: Backend,
) {
    let log = open_log(&backend).await;
    let bus = Arc::new(Shelf::default());
    append_to(&log, &["a"; 600]).await;
    let newest = log.read(&ReadQuery::after(549).limit(1)).await.unwrap();
    let stranger = Recorded {
        epoch: uuid::Uuid::now_v7(),
        ..newest[0].clone()
    };
    // What is not of this log says nothing: what comes from now on is forwarded.
    for nothing in [None, Some(&stranger)] {
        let position = publisher::go_on(&log, bus.name(), nothing).await.unwrap();
        assert_eq!(position, 600);
    }
    let position = publisher::go_on(&log, bus.name(), newest.first()).await;
    assert_eq!(position.unwrap(), 50, "what was in flight is repeated");
    publisher::go_on(&log, bus.name(), None).await.unwrap();
    log.begin_epoch("the disk died", "ann").await.unwrap();
    append_to(&log, &["b"]).await;
    let mut running = start(&log, &bus);
    running.forwarded(601).await;
    running.stop().await;
    assert_eq!(*bus.got.lock().unwrap(), [601]);
}
