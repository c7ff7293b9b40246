//! One seed from its beginning to its audit.

use std::path::Path;

use event_store::outbox;
use faults::{Simulated, Time, Write};
use sagas::participant::Ledger;
use tempfile::TempDir;

use super::{
    party::{PARTIES, TALLIES},
    process::{open, open_log},
    shop::{EFFECTS, OWNER},
    world::World,
};

const FILES: [&str; 3] = ["log", OWNER, PARTIES];

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) lines: u64,
    pub(crate) events: usize,
    /// The writes that it came to, before and after.
    pub(crate) reached: Vec<Write>,
    /// Of all that happened, and of all rows at the end.
    sum: u64,
}

/// The empty databases that each run begins with.
pub(crate) struct Stage(TempDir);

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = testkit::temp_dir();
        let clocks = Simulated::begin(Time {
            of_database: 0,
            of_machine: 0,
        });
        on_this_thread(prepare(folder.path()));
        drop(clocks);
        Self(folder)
    }
}

async fn prepare(folder: &Path) {
    let log = open_log(folder, None).await.expect("a log");
    // An identity that is the same in every run.
    let epoch = "UPDATE log_head SET epoch = unhex('00112233445566778899aabbccddeeff')";
    let epoch = log.database().execute(epoch, Vec::new()).await;
    epoch.expect("an epoch");
    log.database().close().await;
    for name in [OWNER, PARTIES] {
        let database = open(folder, name, None).await.expect("a database");
        let migrated = database.migrate(outbox::migrations()).await;
        migrated.expect("the outbox");
        Ledger::migrate(&database).await.expect("the ledger");
        let migrated = database.migrate(sagas::migrations()).await;
        migrated.expect("the sagas");
        for table in [EFFECTS, TALLIES] {
            database.execute(table, Vec::new()).await.expect("a table");
        }
        database.close().await;
    }
}

/// Runs one seed; what is wrong with what came of it.
pub(crate) fn simulate(seed: u64, stage: &Stage) -> Result<Ran, String> {
    let folder = testkit::temp_dir();
    for name in FILES {
        let name = format!("{name}.db");
        let from = stage.0.path().join(&name);
        std::fs::copy(from, folder.path().join(&name)).expect("a copy");
    }
    let clocks = Simulated::begin(Time {
        of_database: 0,
        of_machine: 0,
    });
    on_this_thread(async {
        let mut world = World::new(seed, folder.path(), clocks).await;
        world.happens().await?;
        world.comes_to_its_end().await?;
        world.audit().await?;
        let (lines, sum) = world.trace.sum();
        let events = world.events.len();
        let reached = world.clocks.reached().collect();
        Ok(Ran {
            lines,
            events,
            reached,
            sum,
        })
    })
}

/// On one thread, and at a time that stands still until it is told to pass.
fn on_this_thread<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}
