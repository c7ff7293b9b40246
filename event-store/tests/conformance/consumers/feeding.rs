//! Where events come from is a detail: a bus that is silent, lossy, late, doubling or of another
//! log changes nothing of what a consumer does.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bus::{Bus, BusError, Delivery, InProcessBus, Memory, Subscription, Wake};
use chassis::Shutdown;
use contracts::Recorded;
use database::Tx;
use event_store::{Consumers, Handler, HandlerError, Kind, Log, ReadQuery, publisher};
use futures::StreamExt;
use testkit::{Backend, eventually};

use super::handler::{Journal, handled, journal_database, start};
use crate::fixture::{PATIENCE, append_to, log_apart, soon};

testkit::both_databases!(
    events_flow_over_the_bus,
    whatever_the_bus_does_every_event_is_handled_once_and_in_order,
    a_bus_that_says_nothing_costs_time_and_no_event,
    a_subscriber_that_lags_fills_the_gap_from_the_log,
    a_bus_that_repeats_old_events_without_end_keeps_nobody_from_the_log,
    a_bus_that_does_not_answer_keeps_nobody_from_the_log_and_is_heard_once_it_does,
    the_bus_is_told_what_a_consumer_is_woken_for,
);

async fn events_flow_over_the_bus(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let bus: Arc<dyn Bus> = Arc::new(InProcessBus::new());
    let stop = Shutdown::new();
    let publisher = tokio::spawn(publisher::run(log.clone(), bus.clone(), stop.clone()));
    let running = start(&database, &log, &Journal::new(), Some(bus));
    for _ in 0..20 {
        let head = append_to(&log, &["a", "b"]).await;
        running.at(head).await;
    }
    assert_eq!(handled(&database).await, (1..=40).collect::<Vec<_>>());
    running.stop().await;
    stop.trigger();
    soon(publisher).await.unwrap();
}

/// Hands over what the test says, whenever it says so.
struct Unreliable {
    inner: InProcessBus,
    subscribers: Mutex<u32>,
}

#[async_trait]
impl Bus for Unreliable {
    async fn publish(&self, events: &[Recorded]) -> Result<(), BusError> {
        self.inner.publish(events).await
    }
    async fn subscribe(&self) -> Result<Subscription, BusError> {
        *self.subscribers.lock().unwrap() += 1;
        self.inner.subscribe().await
    }
    fn status(&self) -> bus::BusStatus {
        bus::BusStatus::default()
    }

    fn memory(&self) -> Memory {
        Memory::None
    }
    fn name(&self) -> &'static str {
        "unreliable"
    }
}

fn unreliable() -> Arc<Unreliable> {
    Arc::new(Unreliable {
        inner: InProcessBus::with_capacity(16),
        subscribers: Mutex::new(0),
    })
}

async fn all(log: &Log) -> Vec<Recorded> {
    log.read(&ReadQuery::after(0).limit(1_000)).await.unwrap()
}

async fn whatever_the_bus_does_every_event_is_handled_once_and_in_order(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let bus = unreliable();
    let running = start(&database, &log, &Journal::new(), Some(bus.clone()));
    append_to(&log, &["a", "a", "a"]).await;
    running.at(3).await;
    // Old ones again, and twice.
    bus.publish(&all(&log).await).await.unwrap();
    bus.publish(&all(&log).await).await.unwrap();
    append_to(&log, &["b", "b", "b", "b"]).await;
    // A hole, and out of order.
    let events = all(&log).await;
    bus.publish(&[events[6].clone(), events[4].clone(), events[4].clone()])
        .await
        .unwrap();
    running.at(7).await;
    // Of another log.
    let mut foreign = events[6].clone();
    foreign.epoch = uuid::Uuid::now_v7();
    foreign.position = 8;
    bus.publish(&[foreign]).await.unwrap();
    let head = append_to(&log, &["c"]).await;
    running.at(head).await;
    assert_eq!(handled(&database).await, (1..=8).collect::<Vec<_>>());
    running.stop().await;
}

async fn a_bus_that_says_nothing_costs_time_and_no_event(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let bus = unreliable();
    let running = start(&database, &log, &Journal::new(), Some(bus.clone()));
    for _ in 0..5 {
        let head = append_to(&log, &["a"]).await;
        running.at(head).await;
    }
    assert_eq!(handled(&database).await, [1, 2, 3, 4, 5]);
    assert_eq!(*bus.subscribers.lock().unwrap(), 1);
    running.stop().await;
}

async fn a_subscriber_that_lags_fills_the_gap_from_the_log(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let bus = unreliable();
    let running = start(&database, &log, &Journal::new(), Some(bus.clone()));
    append_to(&log, &["a"]).await;
    running.at(1).await;
    append_to(&log, &["a"; 100]).await;
    // Far more than the bus holds, at once.
    bus.publish(&all(&log).await).await.unwrap();
    running.at(101).await;
    assert_eq!(handled(&database).await, (1..=101).collect::<Vec<_>>());
    running.stop().await;
}

/// What is already known, again and again, faster than any silence.
struct Repeating(Recorded);

#[async_trait]
impl Bus for Repeating {
    async fn publish(&self, _events: &[Recorded]) -> Result<(), BusError> {
        Ok(())
    }
    async fn subscribe(&self) -> Result<Subscription, BusError> {
        let again = Delivery::Event(Arc::new(self.0.clone()));
        let ticks = tokio::time::interval(Duration::from_millis(5));
        let deliveries = futures::stream::unfold((ticks, again), |(mut ticks, again)| async {
            ticks.tick().await;
            Some((again.clone(), (ticks, again)))
        });
        Ok(Subscription::new(deliveries.boxed()))
    }
    fn status(&self) -> bus::BusStatus {
        bus::BusStatus::default()
    }
    fn memory(&self) -> Memory {
        Memory::None
    }
    fn name(&self) -> &'static str {
        "repeating"
    }
}

async fn a_bus_that_repeats_old_events_without_end_keeps_nobody_from_the_log(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    append_to(&log, &["a"]).await;
    let old = all(&log).await.remove(0);
    let bus: Arc<dyn Bus> = Arc::new(Repeating(old));
    let running = start(&database, &log, &Journal::new(), Some(bus));
    running.at(1).await;
    for _ in 0..3 {
        let head = append_to(&log, &["a", "b"]).await;
        running.at(head).await;
    }
    assert_eq!(handled(&database).await, (1..=7).collect::<Vec<_>>());
    running.stop().await;
}

/// Answers who subscribes once it is let.
struct Hanging {
    inner: InProcessBus,
    let_go: tokio::sync::Semaphore,
}

#[async_trait]
impl Bus for Hanging {
    async fn publish(&self, events: &[Recorded]) -> Result<(), BusError> {
        self.inner.publish(events).await
    }
    async fn subscribe(&self) -> Result<Subscription, BusError> {
        self.let_go.acquire().await.unwrap().forget();
        self.inner.subscribe().await
    }
    fn status(&self) -> bus::BusStatus {
        self.inner.status()
    }
    fn memory(&self) -> Memory {
        Memory::None
    }
    fn name(&self) -> &'static str {
        "hanging"
    }
}

async fn a_bus_that_does_not_answer_keeps_nobody_from_the_log_and_is_heard_once_it_does(
    backend: Backend,
) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let bus = Arc::new(Hanging {
        inner: InProcessBus::new(),
        let_go: tokio::sync::Semaphore::new(0),
    });
    let running = start(&database, &log, &Journal::new(), Some(bus.clone()));
    for _ in 0..3 {
        let head = append_to(&log, &["a", "b"]).await;
        running.at(head).await;
    }
    bus.let_go.add_permits(1);
    // Whoever waits for the log to grow hears the bus's answer, too.
    eventually(PATIENCE, || async {
        let again = all(&log).await;
        bus.publish(&again).await.unwrap();
        bus.status().received_messages > 0
    })
    .await;
    let head = append_to(&log, &["a"]).await;
    running.at(head).await;
    assert_eq!(handled(&database).await, (1..=head).collect::<Vec<_>>());
    running.stop().await;
}

/// Says nothing, and hears what each that subscribes is to be woken for.
#[derive(Default)]
struct Asked(Mutex<Vec<Wake>>);

#[async_trait]
impl Bus for Asked {
    async fn publish(&self, _events: &[Recorded]) -> Result<(), BusError> {
        Ok(())
    }
    async fn subscribe(&self) -> Result<Subscription, BusError> {
        self.subscribe_for(Wake::Always).await
    }
    async fn subscribe_for(&self, wake: Wake) -> Result<Subscription, BusError> {
        self.0.lock().unwrap().push(wake);
        Ok(Subscription::new(futures::stream::pending().boxed()))
    }
    fn status(&self) -> bus::BusStatus {
        bus::BusStatus::default()
    }
    fn memory(&self) -> Memory {
        Memory::None
    }
    fn name(&self) -> &'static str {
        "asked"
    }
}

/// Wants events of these types, and of some of them nobody waits for what it does.
struct Wants {
    name: &'static str,
    types: &'static [&'static str],
    awaited: Option<Wake>,
}

#[async_trait]
impl Handler for Wants {
    fn name(&self) -> &'static str {
        self.name
    }
    fn kind(&self) -> Kind {
        Kind::Projection
    }
    fn types(&self) -> &'static [&'static str] {
        self.types
    }
    fn wake(&self) -> Wake {
        self.awaited
            .unwrap_or_else(|| Everything(self.types).wake())
    }
    async fn handle(&self, _tx: &mut Tx, _event: &Recorded) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// Says nothing of what it is woken for.
struct Everything(&'static [&'static str]);

#[async_trait]
impl Handler for Everything {
    fn name(&self) -> &'static str {
        "everything"
    }
    fn kind(&self) -> Kind {
        Kind::Projection
    }
    fn types(&self) -> &'static [&'static str] {
        self.0
    }
    async fn handle(&self, _tx: &mut Tx, _event: &Recorded) -> Result<(), HandlerError> {
        Ok(())
    }
}

async fn the_bus_is_told_what_a_consumer_is_woken_for(backend: Backend) {
    const TYPES: &[&str] = &["a.b", "c.d"];
    let cases = [
        ("of-all", TYPES, None, Wake::For(TYPES)),
        ("of-everything", &[], None, Wake::Always),
        (
            "of-some",
            TYPES,
            Some(Wake::For(&["a.b"])),
            Wake::For(&["a.b"]),
        ),
        ("of-none", TYPES, Some(Wake::Seldom), Wake::Seldom),
    ];
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    for (name, types, awaited, told) in cases {
        let bus = Arc::new(Asked::default());
        let handler = Wants {
            name,
            types,
            awaited,
        };
        let consumers = Consumers::new(database.clone(), log.clone()).add(handler);
        let (stop, listening) = (Shutdown::new(), bus.clone());
        let end = stop.clone();
        let task = tokio::spawn(async move { consumers.run(Some(listening), end).await });
        eventually(PATIENCE, || async { !bus.0.lock().unwrap().is_empty() }).await;
        assert_eq!(*bus.0.lock().unwrap(), [told], "{name}");
        stop.trigger();
        soon(task).await.unwrap();
    }
}
