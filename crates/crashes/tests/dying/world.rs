//! Databases and a bus that outlive the system.

use std::{collections::BTreeSet, process::Command, time::Duration};

use database::{Database, Options, params};
use event_store::{Log, LogOptions};
use faults::{CRASH_AT, MUTATION, Mutation, Point};
use testkit::{Backend, Nats, Process, TempDir};

use crate::audit::{Audit, Findings};

/// Longer than a run takes on a busy machine; the program's own bound is shorter.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a run may take, and one with a bug, which may never come to its end.
const SOUND: Duration = Duration::from_secs(60);
const MUTATED: Duration = Duration::from_secs(10);

/// Sagas that a run adds: one of each fate.
const SAGAS: u64 = 4;

pub(crate) struct World {
    log: Backend,
    owner: Backend,
    till: Backend,
    nats: Nats,
    runs: u64,
    mutation: Option<Mutation>,
    archive: Option<TempDir>,
    /// Numbers of sagas whose start was acknowledged.
    acknowledged: BTreeSet<u64>,
}

impl World {
    pub(crate) async fn new(log: Backend) -> Self {
        Self::with_bug(log, None).await
    }

    /// A world in which the system has a bug.
    pub(crate) async fn with_bug(log: Backend, mutation: Option<Mutation>) -> Self {
        let (owner, till) = match log.name {
            "postgres" => (Backend::postgres().await, Backend::postgres().await),
            _ => (Backend::sqlite(), Backend::sqlite()),
        };
        Self {
            log,
            owner,
            till,
            nats: Nats::start().await.expect("a NATS server"),
            runs: 0,
            mutation,
            archive: None,
            acknowledged: BTreeSet::new(),
        }
    }

    /// Events leave the log's database for an archive.
    pub(crate) fn archiving(mut self) -> Self {
        self.archive = Some(testkit::temp_dir());
        self
    }

    /// The log's events lie in partitions of a few each.
    pub(crate) async fn divides_the_log(&self) {
        let log = Log::open(&self.log.url, LogOptions::default()).await;
        let log = log.expect("the log");
        for sql in [
            "DROP TABLE events_from_1",
            "DELETE FROM log_partitions",
            "UPDATE log_head SET partition_size = 8, room_to = 0",
        ] {
            let divided = log.database().execute(sql, params![]).await;
            divided.expect("an empty log");
        }
        log.database().close().await;
    }

    /// A run that dies at this point.
    pub(crate) async fn dies_at(&mut self, point: Point, hit: u64) {
        self.free_leases().await;
        let mut process = self.start(Some((point, hit)));
        let status = process.exit(PATIENCE).await;
        assert!(
            !status.success(),
            "{point} was not hit {hit} times: {:#?}",
            process.output()
        );
        let died = format!("the process dies at {point}, hit {hit}");
        process.line(&died, PATIENCE).await;
        self.heard(&process);
    }

    /// A run that comes to its end.
    pub(crate) async fn finishes(&mut self) {
        let ended = self.ends().await;
        ended.unwrap_or_else(|output| panic!("it did not come to its end: {output:#?}"));
    }

    /// A run that nobody kills; what it wrote when it did not come to its end.
    pub(crate) async fn ends(&mut self) -> Result<(), Vec<String>> {
        self.free_leases().await;
        let mut process = self.start(None);
        let status = process.exit(PATIENCE).await;
        let output = self.heard(&process);
        if status.success() {
            Ok(())
        } else {
            Err(output)
        }
    }

    fn start(&mut self, crash: Option<(Point, u64)>) -> Process {
        // Clients also ask again for what the last run may not have acknowledged.
        let until = (self.runs + 1) * SAGAS;
        let from = self.runs.saturating_sub(1) * SAGAS;
        let patience = self.mutation.map_or(SOUND, |_| MUTATED);
        let mut command = Command::new(env!("CARGO_BIN_EXE_crashes"));
        command
            .args(["--log", &self.log.url, "--owner", &self.owner.url])
            .args(["--till", &self.till.url, "--nats", &self.nats.url()])
            .args(["--patience", &patience.as_secs().to_string()])
            .args(["--from", &from.to_string(), "--until", &until.to_string()]);
        for number in 0..3 {
            command.args(["--newcomers", &format!("newcomer-{}-{number}", self.runs)]);
        }
        if let Some(archive) = &self.archive {
            command.arg("--archive").arg(archive.path());
        }
        if let Some((point, hit)) = crash {
            command.env(CRASH_AT, format!("{point}:{hit}"));
        }
        if let Some(mutation) = self.mutation {
            command.env(MUTATION, mutation.name());
        }
        self.runs += 1;
        Process::spawn_command(command).expect("the system")
    }

    fn heard(&mut self, process: &Process) -> Vec<String> {
        let output = process.output();
        let numbers = output
            .iter()
            .filter_map(|line| line.strip_prefix("acknowledged "));
        self.acknowledged
            .extend(numbers.filter_map(|number| number.parse::<u64>().ok()));
        output
    }

    /// What is not as it must be.
    pub(crate) async fn audit(&self) -> Findings {
        let audit = Audit {
            log: Log::open(&self.log.url, LogOptions::default())
                .await
                .expect("the log"),
            owner: open(&self.owner).await,
            till: open(&self.till).await,
        };
        let findings = audit.run(&self.acknowledged).await;
        for database in [audit.log.database(), &audit.owner, &audit.till] {
            database.close().await;
        }
        findings
    }

    /// Leases of the dead would run out by themselves in a while.
    async fn free_leases(&self) {
        if self.runs == 0 {
            return;
        }
        for backend in [&self.log, &self.owner, &self.till] {
            let database = open(backend).await;
            let freed = database.execute("DELETE FROM leases", params![]).await;
            freed.expect("free leases");
            database.close().await;
        }
    }
}

async fn open(backend: &Backend) -> Database {
    backend.open(Options::default()).await
}
