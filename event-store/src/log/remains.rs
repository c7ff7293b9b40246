//! The tail of a lost log, from whoever still has its events: the outboxes, and a bus with memory.

use std::{collections::BTreeMap, sync::Arc};

use bus::Bus;
use contracts::Recorded;
use database::Database;
use uuid::Uuid;

use super::{Log, RefillError, holes::Holes, refill::follow};
use crate::outbox;

/// Positions that are put together at once: what is in memory of a tail of any length.
const WINDOW: i64 = 10_000;

/// Who still has events of the log with one identity.
pub struct Remains {
    epoch: Uuid,
    outboxes: Vec<Database>,
    bus: Option<Arc<dyn Bus>>,
    window: i64,
}

/// What the tail of a lost log was put together to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refilled {
    /// The newest position.
    pub head: i64,
    /// Positions that nobody had an event for.
    pub lost: Vec<i64>,
}

impl Remains {
    /// Nobody has any events of the log `epoch` yet.
    pub fn of(epoch: Uuid) -> Self {
        Self {
            epoch,
            outboxes: Vec::new(),
            bus: None,
            window: WINDOW,
        }
    }

    /// A service, whose outbox keeps what it sent until a backup has it.
    #[must_use]
    pub fn outbox(mut self, database: Database) -> Self {
        self.outboxes.push(database);
        self
    }

    /// A bus that remembers. It is asked only for what no outbox has.
    #[must_use]
    pub fn bus(mut self, bus: Arc<dyn Bus>) -> Self {
        self.bus = Some(bus);
        self
    }

    /// Puts together so many positions at once.
    #[must_use]
    pub fn window(mut self, positions: i64) -> Self {
        self.window = positions.max(1);
        self
    }

    /// How far to look: the newest position that one of them names, of whatever log.
    async fn end(&self) -> Result<i64, RefillError> {
        let mut end = 0;
        for database in &self.outboxes {
            let sent = outbox::newest_sent(database, self.epoch).await;
            end = end.max(sent.map_err(RefillError::Outbox)?);
        }
        if let Some(bus) = &self.bus
            && let Some(newest) = bus.newest().await?
        {
            end = end.max(newest.position);
        }
        Ok(end)
    }

    /// Where the window after `after` ends. The last one is open: the bus may have what was in flight
    /// beyond the newest that it names.
    fn until(&self, after: i64, end: i64) -> i64 {
        match after.saturating_add(self.window) {
            until if until < end => until,
            _ => i64::MAX,
        }
    }

    /// The events at `after + 1..=until` that anybody has.
    async fn between(
        &self,
        after: i64,
        until: i64,
    ) -> Result<BTreeMap<i64, Recorded>, RefillError> {
        let mut found = BTreeMap::new();
        for database in &self.outboxes {
            let sent = outbox::sent_between(database, self.epoch, after, until).await;
            let sent = sent.map_err(RefillError::Outbox)?;
            found.extend(sent.into_iter().map(|event| (event.position, event)));
        }
        if let Some(bus) = &self.bus
            && let Some((after, until)) = missing(after, until, &found)
        {
            for event in bus.remembered(after, until).await? {
                if event.epoch == self.epoch && event.position > after && event.position <= until {
                    found.entry(event.position).or_insert(event);
                }
            }
        }
        Ok(found)
    }
}

/// The narrowest span of `after + 1..=until` that has all positions which are not in `found`.
fn missing(after: i64, until: i64, found: &BTreeMap<i64, Recorded>) -> Option<(i64, i64)> {
    let (mut after, mut until) = (after, until);
    while after < until && found.contains_key(&(after + 1)) {
        after += 1;
    }
    while after < until && found.contains_key(&until) {
        until -= 1;
    }
    (after < until).then_some((after, until))
}

impl Log {
    /// Appends what remains beyond the head, each event at its position, and in the place of each
    /// that nobody has any more one of the type [`LOST`](super::LOST). A crash leaves a log that
    /// begins as the old one did; begin again with an empty one.
    ///
    /// # Errors
    /// [`RefillError`]; what was appended until then stays.
    pub async fn refill_from(&self, remains: &Remains) -> Result<Refilled, RefillError> {
        let end = remains.end().await?;
        let mut head = self.head().await?.position;
        let mut lost = Vec::new();
        let mut holes: Option<Holes> = None;
        let mut after = head;
        while after < end {
            let until = remains.until(after, end);
            let found = remains.between(after, until).await?;
            if holes.is_none() && !follow(head, found.keys().copied()) {
                holes = Some(self.holes(remains, head, after, end).await?);
            }
            let mut events = Vec::with_capacity(found.len());
            let mut next = head + 1;
            for (position, event) in found {
                if let Some(holes) = &mut holes {
                    for gone in next..position {
                        lost.push(gone);
                        events.push(holes.filler(remains.epoch, gone, event.event.timestamp));
                    }
                }
                next = position + 1;
                events.push(event);
            }
            head = self.refill(events).await?;
            after = until;
        }
        Ok(Refilled { head, lost })
    }

    /// The holes above the head, of which the first lies in the window after `after`. All that is
    /// beyond is looked through for what it says of them, and read again when it is its turn.
    async fn holes(
        &self,
        remains: &Remains,
        head: i64,
        mut after: i64,
        end: i64,
    ) -> Result<Holes, RefillError> {
        let mut holes = Holes::above(head);
        while after < end {
            let until = remains.until(after, end);
            for event in remains.between(after, until).await?.into_values() {
                holes.found(self, &event).await?;
            }
            after = until;
        }
        Ok(holes)
    }
}
