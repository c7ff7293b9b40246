//! Where a consumer's events come from: the bus while it is fast, the log whenever it is not.

use std::{sync::Arc, time::Duration};

use bus::{Bus, BusError, Delivery, Subscription, Wake};
use contracts::Recorded;
use futures::{FutureExt, future::BoxFuture};
use thiserror::Error;
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::{Log, ReadQuery, metrics::Source};

/// Positions in one batch at most: one transaction's worth of handling.
pub(super) const MAX_BATCH: usize = 256;

/// How often a consumer that is behind looks at what the bus did not wake it for.
const LOOK: Duration = Duration::from_millis(25);
/// The same where nobody waits for any of it; in any case before the bus seems to be silent.
const LOOK_SELDOM: Duration = Duration::from_millis(150);

/// Why the feed cannot go on.
#[derive(Debug, Error)]
pub(super) enum FeedError {
    #[error("the log cannot be read: {0}")]
    Log(#[from] database::Error),
    /// The log has events of another epoch, or lacks positions: look at its head before going on.
    #[error("the log is not the one that the checkpoint belongs to")]
    ForeignLog,
}

/// Contiguous events of one epoch.
pub(super) struct Feed {
    log: Log,
    epoch: Uuid,
    appended: watch::Receiver<i64>,
    bus: Option<Arc<dyn Bus>>,
    subscription: Option<Subscription>,
    /// The bus was asked for a subscription, and has not answered yet.
    subscribing: Option<BoxFuture<'static, Result<Subscription, BusError>>>,
    /// An event beyond a hole, which comes into its own once the hole is filled.
    held: Option<Arc<Recorded>>,
    /// What is next lies in the log: a hole, or more than one read's worth.
    read_log: bool,
    /// The bus was silent while it should not have been: do not wait for it until it speaks.
    bus_is_slow: bool,
    silence: Duration,
    /// When the silence has lasted too long: set while behind, until the bus says something useful.
    /// What is already known breaks no silence, however much of it comes.
    silent_until: Option<Instant>,
    /// Whose feed it is, in metrics.
    consumer: &'static str,
    /// What the bus wakes it for.
    wake: Wake,
}

impl Feed {
    pub(super) fn new(
        consumer: &'static str,
        wake: Wake,
        log: Log,
        bus: Option<Arc<dyn Bus>>,
        silence: Duration,
    ) -> Self {
        Self {
            consumer,
            wake,
            epoch: log.epoch(),
            appended: log.appended(),
            log,
            bus,
            subscription: None,
            subscribing: None,
            held: None,
            read_log: true,
            bus_is_slow: false,
            silence,
            silent_until: None,
        }
    }

    /// From now on events of this epoch, after whatever position is asked for.
    pub(super) fn start(&mut self, epoch: Uuid) {
        self.epoch = epoch;
        self.read_log = true;
    }

    /// The next events after `after`: contiguous, at least one, at most [`MAX_BATCH`]. Waits until
    /// there are some; safe to drop while it waits.
    pub(super) async fn next(&mut self, after: i64) -> Result<Vec<Arc<Recorded>>, FeedError> {
        self.subscribe();
        loop {
            let run = self.take_delivered(after);
            if !run.is_empty() {
                self.received(Source::Bus, &run);
                return Ok(run);
            }
            let behind = *self.appended.borrow_and_update() > after;
            if self.held.is_some() || (behind && (self.read_log || self.bus_is_slow)) {
                if self.held.is_some() {
                    self.log.metrics().hole(self.consumer);
                }
                let run = self.read(after).await?;
                if !run.is_empty() {
                    self.received(Source::Log, &run);
                    return Ok(run);
                }
            }
            self.wait(after).await;
        }
    }

    /// Asks the bus for a subscription, and waits for none: a bus that hangs keeps nobody from the log.
    fn subscribe(&mut self) {
        if self.subscription.is_some() {
            return;
        }
        if self.subscribing.is_none()
            && let Some(bus) = self.bus.clone()
        {
            let wake = self.wake;
            self.subscribing = Some(async move { bus.subscribe_for(wake).await }.boxed());
        }
        let asked = self.subscribing.as_mut();
        if let Some(answer) = asked.and_then(FutureExt::now_or_never) {
            self.subscribed(answer);
        }
    }

    fn subscribed(&mut self, answer: Result<Subscription, BusError>) {
        self.subscribing = None;
        match answer {
            Ok(subscription) => self.subscription = Some(subscription),
            Err(error) => tracing::warn!(%error, "no subscription; reading the log"),
        }
    }

    /// What the bus has delivered already, as far as it is contiguous.
    fn take_delivered(&mut self, after: i64) -> Vec<Arc<Recorded>> {
        let mut run: Vec<Arc<Recorded>> = Vec::new();
        while run.len() < MAX_BATCH && !(self.read_log && self.held.is_none() && run.is_empty()) {
            let delivered = match self.held.take() {
                Some(held) => Some(Some(Delivery::Event(held))),
                None => self
                    .subscription
                    .as_mut()
                    .and_then(|s| s.next().now_or_never()),
            };
            let event = match delivered {
                Some(Some(Delivery::Event(event))) => event,
                Some(Some(Delivery::Gap)) => {
                    self.lost_some();
                    break;
                }
                Some(None) => {
                    self.subscription = None;
                    break;
                }
                None => break,
            };
            if event.epoch != self.epoch {
                // Another system's, or our log was replaced: the log itself tells.
                self.read_log = true;
                break;
            }
            let next = after + 1 + i64::try_from(run.len()).unwrap_or(i64::MAX);
            if event.position < next {
                continue;
            }
            self.bus_is_slow = false;
            self.silent_until = None;
            if event.position > next {
                self.held = Some(event);
                break;
            }
            run.push(event);
        }
        run
    }

    async fn read(&mut self, after: i64) -> Result<Vec<Arc<Recorded>>, FeedError> {
        let limit = u32::try_from(MAX_BATCH).unwrap_or(u32::MAX);
        let events = self.log.read(&ReadQuery::after(after).limit(limit)).await?;
        self.read_log = events.len() == MAX_BATCH;
        let expected = after + 1..;
        let contiguous = events
            .iter()
            .zip(expected)
            .all(|(event, position)| event.position == position && event.epoch == self.epoch);
        let missing = events.is_empty() && self.held.take().is_some();
        if !contiguous || missing {
            return Err(FeedError::ForeignLog);
        }
        Ok(events.into_iter().map(Arc::new).collect())
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self, after: i64) {
        let Some(subscription) = &mut self.subscription else {
            let asked = async {
                match &mut self.subscribing {
                    Some(subscribing) => subscribing.await,
                    None => std::future::pending().await,
                }
            };
            // An error would mean that the log is gone, which ends this process's consumers too.
            let grown = async { self.appended.wait_for(|head| *head > after).await.is_ok() };
            tokio::select! {
                biased;
                grown = grown => self.read_log |= grown,
                answer = asked => self.subscribed(answer),
            }
            return;
        };
        let behind = *self.appended.borrow_and_update() > after;
        if behind {
            // The log has it; give the bus, which is on the way, its time. What it has brought already
            // may be something that it wakes nobody for.
            let now = Instant::now();
            let until = *self.silent_until.get_or_insert(now + self.silence);
            let pause = match self.wake {
                Wake::Always | Wake::For(_) => LOOK,
                Wake::Seldom => LOOK_SELDOM.min(self.silence / 2),
            };
            let look = until.min(now + pause);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(look) => {
                    if look == until {
                        self.bus_is_slow = true;
                        self.silent_until = None;
                        self.log.metrics().silence(self.consumer);
                    }
                }
                delivered = subscription.next() => self.keep(delivered),
            }
        } else {
            self.silent_until = None;
            tokio::select! {
                biased;
                delivered = subscription.next() => self.keep(delivered),
                _ = self.appended.changed() => {}
            }
        }
    }

    /// The bus says itself that there is a hole.
    fn lost_some(&mut self) {
        self.read_log = true;
        self.log.metrics().hole(self.consumer);
    }

    fn received(&self, source: Source, events: &[Arc<Recorded>]) {
        let now = self.log.clock();
        self.log
            .metrics()
            .received(self.consumer, source, events, now);
    }

    fn keep(&mut self, delivered: Option<Delivery>) {
        match delivered {
            Some(Delivery::Event(event)) => self.held = Some(event),
            Some(Delivery::Gap) => self.lost_some(),
            None => self.subscription = None,
        }
    }
}
