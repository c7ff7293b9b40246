//! What became of the questions about sessions.

use std::fmt::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::answer::Said;

/// Counted for the process's life, through any number of reloads.
#[derive(Debug, Default)]
pub struct SessionCounts {
    hits: AtomicU64,
    sessions: AtomicU64,
    nobody: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSnapshot {
    /// Requests that a kept answer was good for.
    pub hits: u64,
    /// Questions that were answered with somebody.
    pub sessions: u64,
    /// Questions that were answered with nobody.
    pub nobody: u64,
    /// Questions without a usable answer.
    pub failed: u64,
    /// Questions that were not asked, because too many were under way.
    pub refused: u64,
}

impl SessionCounts {
    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn asked(&self, said: &Said) {
        let counter = match said {
            Said::Session(_) => &self.sessions,
            Said::Nobody => &self.nobody,
            Said::Nothing => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn snapshot(&self) -> SessionSnapshot {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SessionSnapshot {
            hits: count(&self.hits),
            sessions: count(&self.sessions),
            nobody: count(&self.nobody),
            failed: count(&self.failed),
            refused: count(&self.refused),
        }
    }

    /// Writes the counts as metrics.
    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let now = self.snapshot();
        let mut family = encoder.encode_descriptor(
            "banyan_gateway_session_asks",
            "Questions about sessions, by what was answered; refused: too many were under way",
            None,
            MetricType::Counter,
        )?;
        for (outcome, count) in [
            ("session", now.sessions),
            ("nobody", now.nobody),
            ("failed", now.failed),
            ("refused", now.refused),
        ] {
            let labels = [("outcome", outcome)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        let hits = encoder.encode_descriptor(
            "banyan_gateway_session_hits",
            "Requests whose session was known without asking",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(now.hits).encode(hits)
    }
}
