//! The log's own append.

use event_store::{Append, Log, LogOptions};
use serde_json::Value;

use crate::{
    Load, Place,
    event::Source,
    window::{self, Caller},
};

struct Writer {
    log: Log,
    source: Source,
    batch: usize,
}

impl Caller for Writer {
    async fn call(&mut self) -> anyhow::Result<()> {
        let events = self.source.batch(self.batch);
        self.log
            .append(events.into_iter().map(Append::exact).collect())
            .await?;
        Ok(())
    }
}

pub(crate) async fn run(place: Place, load: Load) -> anyhow::Result<Value> {
    let empty = place.empty().await?;
    let log = Log::open(&empty.url, LogOptions::default()).await?;
    let writer = |_| Writer {
        log: log.clone(),
        source: Source::new(load.ids, load.narrow),
        batch: load.batch,
    };
    let writers = (0..load.callers).map(writer).collect();
    window::measure(writers, load.window(), load.batch).await
}
