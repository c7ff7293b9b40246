//! The end of a process's life, passed down from `main`; there is no global token.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How long connections and tasks may take to finish once the shutdown has begun. Below the 30 s
/// after which orchestrators send SIGKILL.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Tells tasks to finish. Clones tell the same end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A shutdown that nobody has triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Completes once the shutdown has begun.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// Whether the shutdown has begun.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Begins the shutdown; a second call changes nothing.
    pub fn trigger(&self) {
        self.0.cancel();
    }

    /// A shutdown that begins with this one, or earlier by itself.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Waits `duration`, or less when the shutdown begins; says which.
    pub async fn sleep(&self, duration: Duration) -> Slept {
        tokio::select! {
            biased;
            () = self.0.cancelled() => Slept::ShutDown,
            () = tokio::time::sleep(duration) => Slept::Whole,
        }
    }
}

/// How a [`Shutdown::sleep`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// The whole duration passed.
    Whole,
    /// The shutdown began.
    ShutDown,
}
