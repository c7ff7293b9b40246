//! The end of a run, in which everything must come to its own; and what is looked at all the time.

use std::{sync::Arc, time::Duration};

use database::{Timestamp, params};
use event_store::ReadQuery;
use uuid::Uuid;

use super::{
    process::PROCESSES,
    shop::DEADLINE,
    world::{ALL, World},
};

/// Looks at whether all has come to its end, with time in between, before that is a finding.
const PATIENCE: u32 = 120;

impl World {
    /// From now on nothing goes wrong, everybody is there and knows everything, and time passes.
    pub(crate) async fn comes_to_its_end(&mut self) -> Result<(), String> {
        self.place.fate.calm();
        self.trace.add(|| "calm".to_owned());
        for process in 0..PROCESSES {
            self.starts_with(process, &ALL).await;
        }
        self.operators_let_everything_go_on().await;
        let mut missing = String::new();
        for round in 0..PATIENCE {
            for process in 0..PROCESSES {
                let actors = self.processes[process].as_ref();
                for actor in 0..actors.map_or(0, |process| process.actors.len()) {
                    self.goes_on(process, actor).await;
                }
            }
            self.watch().await?;
            missing = match self.unfinished().await {
                None => return Ok(()),
                Some(missing) => missing,
            };
            if round % 4 == 3 {
                self.operators_retry_what_is_parked().await;
            }
            let by = match round {
                0..40 => 300,
                40..80 => 1_000,
                _ => 10_000,
            };
            self.advance(Duration::from_millis(by)).await;
        }
        Err(format!("it does not come to its end: {missing}"))
    }

    /// Looks at what is new in the log and in the sagas' history, where there may be something.
    pub(crate) async fn watch(&mut self) -> Result<(), String> {
        if !std::mem::take(&mut self.moved) {
            return Ok(());
        }
        let after = i64::try_from(self.events.len()).unwrap_or(i64::MAX);
        let new = self.log.read(&ReadQuery::after(after)).await;
        for recorded in new.expect("events") {
            let (position, event) = (recorded.position, &recorded.event);
            self.trace
                .add(|| format!("{position}: {} of {}", event.event_type, event.stream));
            self.trace.rows(&event.id);
            self.events.push(Arc::new(recorded));
        }
        self.watch_sagas().await
    }

    async fn watch_sagas(&mut self) -> Result<(), String> {
        let rows: Vec<(i64, Uuid, i64, String, String, Timestamp)> = self
            .owner
            .fetch_all(
                "SELECT moved.rowid, saga_id, moved.version, moved.state, inputs, created_at
                 FROM saga_transitions AS moved JOIN sagas ON id = saga_id
                 WHERE moved.rowid > $1 ORDER BY moved.rowid",
                params![self.seen],
            )
            .await
            .expect("transitions");
        let now = self.now();
        for (row, saga, version, state, inputs, created_at) in rows {
            self.seen = row;
            self.trace
                .add(|| format!("{now} {saga} is {state} at {version} by {inputs}"));
            let is_deadline = inputs.contains(r#""timer":"deadline""#);
            if is_deadline && now.since(created_at) < DEADLINE {
                return Err(format!("a deadline of {saga} fires early"));
            }
        }
        Ok(())
    }
}
