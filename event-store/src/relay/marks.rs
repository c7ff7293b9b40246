//! What the log has taken and the outbox does not say yet: noted together, a little later, so that
//! noting costs a commit for many events and none that somebody waits for.
//!
//! Invariant: what is forgotten here is appended once more, which the log answers with where it put it.

use std::time::Duration;

use tokio::time::Instant;

use super::rows::Sent;

/// Events that wait to be noted.
#[derive(Default)]
pub(super) struct Marks {
    sent: Vec<Sent>,
    /// When the first of them was appended.
    since: Option<Instant>,
}

impl Marks {
    pub(super) fn add(&mut self, sent: Vec<Sent>) {
        if !sent.is_empty() {
            self.since.get_or_insert_with(Instant::now);
            self.sent.extend(sent);
        }
    }

    pub(super) fn sequences(&self) -> Vec<i64> {
        self.sent.iter().map(|sent| sent.sequence).collect()
    }

    /// When they are to be noted; never when there are none.
    pub(super) fn due(&self, after: Duration, at_most: usize) -> Option<Instant> {
        let since = self.since?;
        Some(if self.sent.len() < at_most {
            since + after
        } else {
            since
        })
    }

    pub(super) fn take(&mut self) -> Vec<Sent> {
        self.since = None;
        std::mem::take(&mut self.sent)
    }
}
