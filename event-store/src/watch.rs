//! Looks at what only the service's database knows, for the metrics: the outbox's age and what is
//! parked. Every replica looks, whoever relays: the relay itself cannot tell while the log is away,
//! and that is when its outbox ages.

use std::time::Duration;

use chassis::{Shutdown, shutdown::Slept};
use database::{Database, Error};

use crate::{Consumers, Metrics, relay};

/// Between two looks: three indexed statements, below the time between two scrapes.
const EVERY: Duration = Duration::from_secs(5);

/// Looks until the shutdown. A database that does not answer is told by the readiness checks.
pub async fn run(
    service: &'static str,
    database: Database,
    metrics: Metrics,
    consumers: Consumers,
    shutdown: Shutdown,
) {
    loop {
        if let Err(error) = look(service, &database, &metrics, &consumers).await {
            tracing::debug!(service, %error, "outbox and parked events are not counted");
        }
        if shutdown.sleep(EVERY).await == Slept::ShutDown {
            return;
        }
    }
}

async fn look(
    service: &str,
    database: &Database,
    metrics: &Metrics,
    consumers: &Consumers,
) -> Result<(), Error> {
    let outbox = relay::status(database).await?;
    let oldest = outbox.oldest.unwrap_or_default();
    metrics.outbox(service, oldest, outbox.unsent, outbox.stuck);
    for (consumer, events) in consumers.parked_counts().await? {
        metrics.parked_now(&consumer, events);
    }
    Ok(())
}
