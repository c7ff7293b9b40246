//! A publisher and a consumer with a bus between them, each with a connection and a log handle of its
//! own, as two processes have.

use std::{sync::Arc, time::Duration};

use bus::Bus;
use chassis::{Metrics, Shutdown};
use database::Database;
use event_store::{
    Log, LogOptions,
    publisher::{Publisher, PublisherState},
};
use testkit::{Backend, eventually};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    consumers::handler::{Journal, NAME, Running, handled, journal_database, start},
    fixture::{append_to, log_apart, soon},
};

/// A broker's return, and an election among servers that share a busy machine.
pub(super) const RECOVERY: Duration = Duration::from_secs(90);

pub(super) struct System {
    log: Log,
    database: Database,
    pub(super) journal: Journal,
    running: Running,
    metrics: Metrics,
    state: watch::Receiver<PublisherState>,
    publishing: JoinHandle<()>,
    stop: Shutdown,
    _places: [Backend; 2],
}

impl System {
    /// Starts it with an empty log: one bus is published to, the other, a second connection to the
    /// same broker, is listened to.
    pub(super) async fn start(
        backend: Backend,
        published: Arc<dyn Bus>,
        heard: Arc<dyn Bus>,
    ) -> Self {
        let (log, place) = log_apart(&backend).await;
        let database = journal_database(&backend).await;
        // As in a service that has a bus: nobody but the bus tells it of an event at once.
        let options = LogOptions {
            notified: false,
            ..LogOptions::default()
        };
        let read = Log::open(&place.url, options).await.expect("the log");
        let journal = Journal::new();
        let running = start(&database, &read, &journal, Some(heard));
        let metrics = Metrics::new();
        metrics.register(|registry| read.metrics().register(registry));
        let publisher = Publisher::new(log.clone(), published);
        let (state, stop) = (publisher.state(), Shutdown::new());
        let publishing = tokio::spawn(publisher.run(stop.clone()));
        Self {
            log,
            database,
            journal,
            running,
            metrics,
            state,
            publishing,
            stop,
            _places: [backend, place],
        }
    }

    pub(super) async fn append(&self, streams: &[&str]) -> i64 {
        append_to(&self.log, streams).await
    }

    pub(super) async fn at(&self, position: i64) {
        self.running.at(position).await;
    }

    /// Events get through now, however the bus is.
    pub(super) async fn flows(&self) -> i64 {
        let mut head = 0;
        for streams in [&["a", "b"][..], &["b"], &["a", "c", "a"]] {
            head = self.append(streams).await;
            self.at(head).await;
        }
        head
    }

    /// The bus has everything.
    pub(super) async fn forwarded(&mut self) {
        let head = self.log.head().await.expect("a head").position;
        let there = PublisherState::Forwarding(head);
        let forwarded = self.state.wait_for(|state| *state == there);
        tokio::time::timeout(RECOVERY, forwarded)
            .await
            .unwrap_or_else(|_| panic!("not forwarded up to {head}"))
            .expect("the publisher runs");
    }

    /// The publisher says that the bus does not do it.
    pub(super) async fn fails(&mut self) {
        let failing = |state: &PublisherState| matches!(state, PublisherState::Failing(_));
        let failed = self.state.wait_for(failing);
        tokio::time::timeout(RECOVERY, failed)
            .await
            .expect("it notices")
            .expect("the publisher runs");
    }

    /// The consumer hears events from the bus itself, not only from the log.
    pub(super) async fn hears_the_bus(&mut self) {
        self.forwarded().await;
        let before = self.heard();
        eventually(RECOVERY, || async {
            let head = self.append(&["a"]).await;
            self.at(head).await;
            self.heard() > before
        })
        .await;
    }

    fn heard(&self) -> f64 {
        let series =
            format!("consumer_received_events_total{{consumer=\"{NAME}\",source=\"bus\"}} ");
        let text = self.metrics.encode().expect("a text");
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Everything was handled exactly once and in order.
    pub(super) async fn ends_well(self) {
        let head = self.append(&["c", "a"]).await;
        self.at(head).await;
        let handled = handled(&self.database).await;
        assert_eq!(handled, (1..=head).collect::<Vec<_>>());
        self.running.stop().await;
        self.stop.trigger();
        soon(self.publishing).await.expect("the publisher ends");
    }
}
