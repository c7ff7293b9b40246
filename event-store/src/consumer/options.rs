//! How consumers read, repeat, and share their work between replicas.

use std::time::Duration;

/// Which of a service's replicas call their handlers. It only decides who does the work: whoever
/// tries, the checkpoint lets one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// One at a time for each consumer, by a lease; the others read along and take over. On SQLite,
    /// whose file is one process's, as [`Replicas::Race`].
    OneActive,
    /// All, and the losers of each race did their work in vain.
    Race,
}

/// How consumers read and repeat.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerOptions {
    /// How long the bus may be silent before a consumer that is behind reads the log.
    pub silence: Duration,
    /// The pause after the first transient error; it doubles up to `max_backoff`.
    pub backoff: Duration,
    /// The longest pause between two tries.
    pub max_backoff: Duration,
    /// Tries of an event whose handler fails for an unclear reason, before it is parked.
    pub max_attempts: u32,
    /// A consumer that saw no event for this long stores how far it read and checks the log.
    pub idle: Duration,
    /// Which replicas work.
    pub replicas: Replicas,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            silence: Duration::from_millis(200),
            backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(5),
            max_attempts: 5,
            idle: Duration::from_secs(5),
            replicas: Replicas::OneActive,
        }
    }
}
