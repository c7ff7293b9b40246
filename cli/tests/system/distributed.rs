//! The distributed form: a process per service and one for the log, PostgreSQL and NATS.

mod configuration;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::StatusCode;
use serde_json::Value;
use testkit::{Nats, Postgres, Process, TempDir, TestDatabase};

use crate::{
    BANYAN, PATIENCE,
    player::{Player, expect},
    verb,
};

pub(crate) const SERVICES: [&str; 8] = [
    "legacy",
    "auth",
    "question",
    "quiz",
    "achievement",
    "leaderboard",
    "admin",
    "maintenance",
];

const ADMINISTRATORS_PASSWORD: &str = "only good in this test";

/// In the order in which they are started.
const PARTS: [&str; 11] = [
    "log",
    "legacy",
    "auth",
    "question",
    "quiz",
    "quiz-2",
    "achievement",
    "leaderboard",
    "admin",
    "maintenance",
    "gateway",
];

/// What a system stands on; the default is what most tests want.
pub(crate) struct Setup {
    /// A database for each service and the log; made where none is given.
    pub(crate) databases: BTreeMap<String, TestDatabase>,
    /// A server of its own, where databases that are not given are made; else the tests' shared one.
    pub(crate) postgres: Option<Postgres>,
    /// How the services reach their own database, given its URL.
    pub(crate) reached_as: Box<dyn Fn(&str) -> String>,
    /// Who the parts are for PostgreSQL.
    pub(crate) users: Users,
    /// Servers of NATS, none of which knows the others: the first one, and backups.
    pub(crate) brokers: usize,
    /// More lines of configuration: a part and a top-level setting of its file; `upstreams.quiz`
    /// stands for that table of the gateway's file, `operator` for what `banyan --config` takes.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// What every process has in its environment beside ours.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            databases: BTreeMap::new(),
            postgres: None,
            reached_as: Box::new(ToOwned::to_owned),
            users: Users::Superuser,
            brokers: 1,
            settings: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// Who the parts are for PostgreSQL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Users {
    /// All of them the one who may do everything.
    Superuser,
    /// Each of them the one that the deployment's scripts make for it.
    OwnOnes,
}

impl Users {
    /// A superuser's URL as the part has it.
    fn url(self, part: &str, superusers: &str) -> String {
        match self {
            Self::Superuser => superusers.to_owned(),
            Self::OwnOnes => {
                let url =
                    superusers.replacen("postgres://postgres@", &format!("postgres://{part}@"), 1);
                format!("{url}?sslmode=prefer")
            }
        }
    }
}

/// Every process of the distributed form, with what they stand on.
pub(crate) struct System {
    folder: TempDir,
    processes: BTreeMap<String, Process>,
    /// The servers of NATS, in the order in which they are preferred.
    pub(crate) brokers: Vec<Nats>,
    ports: BTreeMap<String, u16>,
    databases: BTreeMap<String, TestDatabase>,
    environment: Vec<(&'static str, String)>,
    users: Users,
    /// A PostgreSQL of its own, where it has one, and its standby.
    pub(crate) postgres: Option<Postgres>,
    pub(crate) standby: Option<Postgres>,
}

impl System {
    pub(crate) async fn start() -> Self {
        Self::start_as(Setup::default()).await
    }

    /// Starts on what the setup says, and waits until every part is ready.
    pub(crate) async fn start_as(mut setup: Setup) -> Self {
        for name in SERVICES.iter().chain(&["log"]) {
            if !setup.databases.contains_key(*name) {
                let database = match &setup.postgres {
                    Some(server) => server.database().await.expect("a running server"),
                    None => testkit::database().await,
                };
                setup.databases.insert((*name).to_owned(), database);
            }
        }
        let mut brokers = Vec::new();
        for _ in 0..setup.brokers {
            brokers.push(Nats::start().await.expect("nats-server starts"));
        }
        let ports: BTreeMap<String, u16> = SERVICES
            .iter()
            .chain(&["log", "quiz-2", "gateway", "operators"])
            .map(|name| ((*name).to_owned(), testkit::free_port()))
            .collect();
        let mut system = Self {
            folder: testkit::temp_dir(),
            processes: BTreeMap::new(),
            brokers,
            ports,
            databases: BTreeMap::new(),
            environment: std::mem::take(&mut setup.environment),
            users: setup.users,
            postgres: None,
            standby: None,
        };
        system.write_configurations(&setup);
        system.databases = setup.databases;
        system.postgres = setup.postgres;
        for part in PARTS {
            system.spawn(part);
            if part == "log" && system.users == Users::OwnOnes {
                // It makes the log's tables, which the services may only use.
                system.ready(part).await;
            }
        }
        for part in system.ports.keys().filter(|name| *name != "gateway") {
            system.ready(part).await;
        }
        system
    }

    pub(crate) fn url(&self, part: &str) -> String {
        format!("http://127.0.0.1:{}", self.ports[part])
    }

    /// Where all its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A part's configuration; `operator` is what `banyan --config` takes.
    pub(crate) fn file(&self, part: &str) -> PathBuf {
        self.folder.path().join(format!("{part}.toml"))
    }

    /// The URL of a part's database as the part's own user has it, past any proxy.
    pub(crate) fn own_database(&self, part: &str) -> String {
        self.users.url(part, self.database(part))
    }

    /// A superuser's URL of a part's database, past any proxy.
    pub(crate) fn database(&self, part: &str) -> &str {
        self.databases[part].url()
    }

    /// Who has a database.
    pub(crate) fn with_databases(&self) -> Vec<String> {
        self.databases.keys().cloned().collect()
    }

    /// The parts of this name: `quiz` means each of its replicas.
    pub(crate) fn replicas(&self, name: &str) -> Vec<String> {
        let parts = self.processes.keys();
        let found = parts.filter(|part| *part == name || part.trim_end_matches("-2") == name);
        found.cloned().collect()
    }

    /// Starts a part without waiting for it.
    pub(crate) fn spawn(&mut self, part: &str) {
        let file = self.file(part);
        let file = file.to_str().expect("UTF-8");
        let arguments = match part {
            "log" | "gateway" => vec![part, "--config", file],
            service => vec!["service", service.trim_end_matches("-2"), "--config", file],
        };
        let mut command = std::process::Command::new(BANYAN);
        command
            .args(arguments)
            .envs(self.environment.iter().cloned());
        let process = Process::spawn_command(command).expect("banyan starts");
        self.processes.insert(part.to_owned(), process);
    }

    /// Waits until a part can serve.
    pub(crate) async fn ready(&self, part: &str) {
        let url = format!("{}/health/ready", self.url(part));
        testkit::eventually(PATIENCE, || async {
            let response = reqwest::get(&url).await.map_err(anyhow::Error::new)?;
            let status = response.status();
            anyhow::ensure!(status.is_success(), "{part}: {}", response.text().await?);
            anyhow::Ok(())
        })
        .await;
    }

    /// The lines that a part has written so far.
    pub(crate) fn output(&self, part: &str) -> Vec<String> {
        self.processes[part].output()
    }

    pub(crate) fn process(&mut self, part: &str) -> &mut Process {
        self.processes
            .get_mut(part)
            .unwrap_or_else(|| panic!("no process {part}"))
    }

    /// Ends a part as a crash does, with SIGKILL.
    pub(crate) fn kill(&mut self, part: &str) {
        self.process(part).kill().expect("it was running");
    }

    async fn restart(&mut self, part: &str) {
        self.kill(part);
        self.start_again(part).await;
    }

    /// Starts a part that has ended, and waits until it is ready.
    pub(crate) async fn start_again(&mut self, part: &str) {
        self.spawn(part);
        self.ready(if part == "gateway" { "operators" } else { part })
            .await;
    }

    /// Ends a part as a deployment does, with SIGTERM, and waits for its clean end.
    pub(crate) async fn stop(&mut self, part: &str, patience: Duration) {
        let process = self.process(part);
        process.terminate().expect("it runs");
        let status = process.exit(patience).await;
        let output = process.output().join("\n");
        assert_eq!(status.code(), Some(0), "{part}: {output}");
    }

    /// The administrator that legacy and auth made.
    pub(crate) async fn administrator(&self) -> Player {
        Player::curator(&self.url("gateway"), ADMINISTRATORS_PASSWORD).await
    }

    /// Moves both capabilities to the candidate, data first.
    pub(crate) async fn move_everything(&self) {
        self.verb(&["sync", "backfill"]).await;
        for flag in ["auth-cutover", "quiz-cutover"] {
            self.verb(&["flags", "set", flag, "--percent", "100", "--reason", "test"])
                .await;
        }
    }

    pub(crate) async fn verb(&self, arguments: &[&str]) -> Value {
        let file = self.file("operator");
        let mut all = vec!["--config", file.to_str().expect("UTF-8")];
        all.extend_from_slice(arguments);
        verb(self.folder.path(), &all).await
    }

    async fn answers(&self, player: &Player, key: &str) {
        let question = &player.questions().await[0];
        let answer = player.answer(question, key).await.expect("an answer");
        let side = answer.headers()["x-banyan-upstream"].clone();
        assert_eq!(side, "quiz");
        let _: Value = expect(answer, StatusCode::OK).await;
    }
}

#[tokio::test]
async fn separate_processes_survive_the_loss_of_each_and_agree_in_the_end() {
    let mut system = System::start().await;
    let gateway = system.url("gateway");
    let mut player = Player::register(&gateway, "Barbara").await;
    system.move_everything().await;
    player.login().await;
    system.answers(&player, "all is well").await;

    // The broker loses everything that it had; the log has it all.
    let broker = &mut system.brokers[0];
    broker
        .restart_empty()
        .await
        .expect("nats-server starts again");
    system.answers(&player, "the broker's disk was wiped").await;

    let broker = &mut system.brokers[0];
    broker.kill().await.expect("nats-server was running");
    system.answers(&player, "no broker at all").await;
    let broker = &mut system.brokers[0];
    broker.restart().await.expect("nats-server starts again");

    for part in [
        "log",
        "achievement",
        "leaderboard",
        "quiz",
        "gateway",
        "auth",
    ] {
        system.restart(part).await;
        system.answers(&player, part).await;
    }
    assert_eq!(player.get("/api/stats/me").await["answered"], 9);
    let flags = system.verb(&["flags", "list"]).await;
    assert!(
        flags["items"]
            .as_array()
            .expect("items")
            .iter()
            .all(|flag| flag["percent"] == 100.0),
        "a restarted gateway knows its flags from the log: {flags}"
    );
    system.verb(&["audit"]).await;
    system.verb(&["doctor"]).await;

    // SIGTERM ends each of them cleanly.
    for part in system.processes.keys().cloned().collect::<Vec<_>>() {
        system.stop(&part, Duration::from_secs(30)).await;
    }
}
