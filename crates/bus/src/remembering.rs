//! Finding a position in what a bus remembers. It lies in the order of publishing: runs of ascending
//! positions, of which each begins at or below the end of the one before. What was repeated stands
//! behind its successors, by what was in flight at most.

use contracts::Recorded;

use crate::BusError;

/// Publishes that may wait for their confirmation at once: beyond about 64 the server is busy all
/// the time, and a lost connection repeats no more than these.
pub(crate) const MAX_IN_FLIGHT: usize = 256;

/// A stored message.
pub(crate) enum Stored {
    /// An event of ours.
    Event(Box<Recorded>),
    /// It aged out, or is none of ours and says nothing about events.
    Nothing,
}

/// A numbered memory.
pub(crate) trait Memorized {
    /// What lies at a number.
    async fn stored(&self, number: u64) -> Result<Stored, BusError>;
}

/// By bisection, a number from which on lies what is above the position `after`; `first` is the
/// first number, `end` the one behind the last.
pub(crate) async fn beginning(
    memory: &impl Memorized,
    first: u64,
    end: u64,
    after: i64,
) -> Result<u64, BusError> {
    let (mut low, mut high) = (first, end);
    while low < high {
        let middle = low + (high - low) / 2;
        // What cannot be read says nothing; the next one that can speaks for it.
        let mut at = middle;
        let event = loop {
            if at == high {
                break None;
            }
            match memory.stored(at).await? {
                Stored::Event(event) => break Some(event),
                Stored::Nothing => at += 1,
            }
        };
        match event {
            Some(event) if event.position <= after => low = at + 1,
            Some(_) | None => high = middle,
        }
    }
    // What was in flight may stand behind its successors.
    let in_flight = u64::try_from(MAX_IN_FLIGHT).unwrap_or(u64::MAX);
    Ok(low.saturating_sub(in_flight).max(first))
}

/// Gathers the events of the positions `after + 1..=until` out of what is read in order.
pub(crate) struct Gathering {
    after: i64,
    until: i64,
    beyond: usize,
    found: Vec<Recorded>,
}

impl Gathering {
    pub(crate) fn new(after: i64, until: i64) -> Self {
        Self {
            after,
            until,
            beyond: 0,
            found: Vec::new(),
        }
    }

    /// Takes what was stored; whether there may be more of it.
    pub(crate) fn take(&mut self, event: Recorded) -> bool {
        if event.position > self.until {
            self.beyond += 1;
        } else {
            self.beyond = 0;
            if event.position > self.after {
                self.found.push(event);
            }
        }
        self.beyond <= MAX_IN_FLIGHT
    }

    pub(crate) fn found(self) -> Vec<Recorded> {
        self.found
    }
}
