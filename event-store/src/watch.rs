//! Looks at what only the service's database knows, for the metrics: the outbox's age and what is
//! parked. Every replica looks, whoever relays: the relay itself cannot tell while the log is away,
//! and that is when its outbox ages.

use std::{collections::BTreeSet, time::Duration};

use chassis::{Shutdown, shutdown::Slept};
use database::{Database, Error};

use crate::{Consumers, Metrics, consumer::Told, relay};

/// Between two looks: three indexed statements, below the time between two scrapes.
const EVERY: Duration = Duration::from_secs(5);

/// So many looks come to one report to the log of how far the consumers are: one a minute.
const LOOKS_A_REPORT: u32 = 12;

/// Looks until the shutdown. A database that does not answer is told by the readiness checks.
pub async fn run(
    service: &'static str,
    database: Database,
    metrics: Metrics,
    consumers: Consumers,
    shutdown: Shutdown,
) {
    let mut shown = BTreeSet::new();
    let (mut told, mut looks) = (Told::new(), 0_u32);
    loop {
        let looked = look(service, &database, &metrics, &consumers, &mut shown);
        if let Err(error) = looked.await {
            tracing::debug!(service, %error, "outbox and parked events are not counted");
        }
        if looks.is_multiple_of(LOOKS_A_REPORT)
            && let Err(error) = consumers.report(service, &mut told).await
        {
            tracing::debug!(service, %error, "the log is not told how far consumers are");
        }
        looks = looks.wrapping_add(1);
        if shutdown.sleep(EVERY).await == Slept::ShutDown {
            return;
        }
    }
}

/// `shown` has the consumers that were shown: some of them are not of this process, and when theirs
/// are no longer parked, nobody else says so.
async fn look(
    service: &str,
    database: &Database,
    metrics: &Metrics,
    consumers: &Consumers,
    shown: &mut BTreeSet<String>,
) -> Result<(), Error> {
    let outbox = relay::status(database).await?;
    let oldest = outbox.oldest.unwrap_or_default();
    metrics.outbox(service, oldest, outbox.unsent, outbox.stuck);
    let mut parked = consumers.parked_counts().await?;
    for consumer in &*shown {
        parked.entry(consumer.clone()).or_insert(0);
    }
    for (consumer, events) in parked {
        metrics.parked_now(&consumer, events);
        shown.insert(consumer);
    }
    Ok(())
}
