//! When bytes last came from either side of a tunnel.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::tapped::Tap;

/// When either side last said something.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    began: Instant,
    /// Milliseconds since then.
    last: Arc<AtomicU64>,
}

impl Activity {
    pub(super) fn now() -> Self {
        Self {
            began: Instant::now(),
            last: Arc::default(),
        }
    }

    /// Completes when there was none for so long.
    pub(super) async fn ceased_for(&self, limit: Duration) {
        loop {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            let end = self.began + last + limit;
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }

    fn note(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }
}

/// Every byte of a tunnel is read from one of its two sides.
impl Tap for Activity {
    fn read(&mut self, _bytes: &[u8]) -> io::Result<()> {
        self.note();
        Ok(())
    }
}
