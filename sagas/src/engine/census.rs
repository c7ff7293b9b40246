//! Counts what has not ended, for the metrics: what a process counts by itself as sagas move ends
//! with the process, and says nothing of those that do not move.

use std::{collections::HashMap, sync::PoisonError, time::Duration};

use chassis::{Shutdown, shutdown::Slept};

use super::Inner;
use crate::{Error, store};

/// Between two counts: two indexed statements, below the time between two scrapes.
const EVERY: Duration = Duration::from_secs(5);

/// Counts until the shutdown. Every replica counts, and all see the same.
pub(super) async fn run(inner: &Inner, shutdown: &Shutdown) {
    loop {
        if let Err(error) = inner.count_open().await {
            tracing::debug!(%error, "open sagas are not counted");
        }
        if shutdown.sleep(EVERY).await == Slept::ShutDown {
            return;
        }
    }
}

impl Inner {
    pub(super) async fn count_open(&self) -> Result<(), Error> {
        let now = self.clock.now(&self.database).await?;
        let open = store::open_by_state(&self.database).await?;
        let overdue = store::nearest(&self.database).await?;
        let overdue = overdue.map_or(Duration::ZERO, |due| now.since(due));
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.extend(open.iter().map(|count| count.definition.clone()));
        let mut oldest: HashMap<&str, Duration> = HashMap::new();
        let mut counts: HashMap<(&str, &str), i64> = HashMap::new();
        for (name, _) in self.workflows.by_key.keys() {
            oldest.insert(name, Duration::ZERO);
        }
        // Of a definition that is not here nobody else says that its last saga has ended.
        for name in &*counted {
            oldest.insert(name, Duration::ZERO);
        }
        for count in &open {
            let age = oldest.entry(&count.definition).or_default();
            *age = (*age).max(now.since(count.oldest));
            counts.insert((&count.definition, &count.state), count.sagas);
        }
        self.metrics.open(&oldest, &counts, overdue);
        Ok(())
    }
}
