//! The distributed form: a process per service and one for the log, PostgreSQL and NATS.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf, time::Duration};

use reqwest::StatusCode;
use serde_json::Value;
use testkit::{Nats, Process, TempDir, TestDatabase};

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

/// Every process of the distributed form, with what they stand on.
pub(crate) struct System {
    folder: TempDir,
    processes: BTreeMap<String, Process>,
    nats: Nats,
    ports: BTreeMap<String, u16>,
    _databases: Vec<TestDatabase>,
}

impl System {
    pub(crate) async fn start() -> Self {
        let mut databases = BTreeMap::new();
        for name in SERVICES.iter().chain(&["log"]) {
            databases.insert((*name).to_owned(), testkit::database().await);
        }
        Self::start_on(databases, |url| url.to_owned()).await
    }

    /// Starts on these databases; the services reach their own under another URL.
    pub(crate) async fn start_on(
        databases: BTreeMap<String, TestDatabase>,
        reached_as: impl Fn(&str) -> String,
    ) -> Self {
        let folder = testkit::temp_dir();
        let nats = Nats::start().await.expect("nats-server starts");
        let ports: BTreeMap<String, u16> = SERVICES
            .iter()
            .chain(&["log", "quiz-2", "gateway", "operators"])
            .map(|name| ((*name).to_owned(), testkit::free_port()))
            .collect();
        let mut system = Self {
            folder,
            processes: BTreeMap::new(),
            nats,
            ports,
            _databases: Vec::new(),
        };
        system.write_configurations(&databases, &reached_as);
        system._databases = databases.into_values().collect();
        for part in [
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
        ] {
            system.spawn(part);
        }
        for part in system.ports.keys().filter(|name| *name != "gateway") {
            system.ready(part).await;
        }
        system
    }

    pub(crate) fn url(&self, part: &str) -> String {
        format!("http://127.0.0.1:{}", self.ports[part])
    }

    fn file(&self, part: &str) -> PathBuf {
        self.folder.path().join(format!("{part}.toml"))
    }

    fn write_configurations(
        &self,
        databases: &BTreeMap<String, TestDatabase>,
        reached_as: &dyn Fn(&str) -> String,
    ) {
        let (log, nats) = (databases["log"].url(), self.nats.url());
        let key = self.folder.path().join("signing.pem");
        let jwks = format!("{}/.well-known/jwks.json", self.url("auth"));
        for part in [
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
        ] {
            let database = reached_as(databases[part.trim_end_matches("-2")].url());
            let mut text = format!("listen = \"127.0.0.1:{}\"\n", self.ports[part]);
            let mut add = |line: String| writeln!(text, "{line}").expect("a String takes all");
            if part == "log" {
                add(format!("log = {log:?}\nnats = {nats:?}"));
            } else {
                add(format!("database = {database:?}"));
            }
            if matches!(part, "legacy" | "auth") {
                add(format!("signing_key = {key:?}"));
            }
            if !matches!(part, "legacy" | "log") {
                add(format!("log = {log:?}\nnats = {nats:?}"));
            }
            if !matches!(part, "legacy" | "log" | "maintenance") {
                let legacy = databases["legacy"].url();
                add(format!("legacy_database = {legacy:?}"));
            }
            if !matches!(part, "legacy" | "log" | "auth") {
                add(format!("jwks_url = {jwks:?}"));
            }
            if matches!(part, "legacy" | "auth") {
                // A table: it is the last.
                add(format!(
                    "[administrator]\nemail = \"admin@node-learn.example\"\n\
                     password = {ADMINISTRATORS_PASSWORD:?}"
                ));
            }
            if part == "admin" {
                add("legacy_follow = \"1s\"".to_owned());
            }
            if part == "maintenance" {
                let archive = self.folder.path().join("archive");
                add(format!("archive_dir = {archive:?}"));
            }
            std::fs::write(self.file(part), text).expect("a writable folder");
        }
        std::fs::write(self.file("gateway"), self.gateway(log, &jwks)).expect("writable");
        let mut operator = format!("admin = {:?}\n[services]\n", self.url("operators"));
        for part in SERVICES.iter().chain(&["log"]) {
            writeln!(operator, "{part} = {:?}", self.url(part)).expect("a String takes all");
        }
        std::fs::write(self.file("operator"), operator).expect("a writable folder");
    }

    fn gateway(&self, log: &str, jwks: &str) -> String {
        let mut text = format!(
            "listen = \"127.0.0.1:{}\"\nadmin_listen = \"127.0.0.1:{}\"\nlog = {log:?}\n\
             state_file = {:?}\naccess_log = \"off\"\n\
             [auth]\n[[auth.issuers]]\nissuer = \"banyan-auth\"\naudience = \"banyan\"\n\
             jwks_url = {jwks:?}\n",
            self.ports["gateway"],
            self.ports["operators"],
            self.folder.path().join("flags.json"),
        );
        let mut add = |line: String| writeln!(text, "{line}").expect("a String takes all");
        for part in SERVICES {
            let mut endpoints = vec![self.url(part)];
            if part == "quiz" {
                endpoints.push(self.url("quiz-2"));
            }
            add(format!("[upstreams.{part}]\nendpoints = {endpoints:?}"));
        }
        for flag in ["auth-cutover", "quiz-cutover"] {
            add(format!(
                "[flags.{flag}]\npercent = 0.0\nsubject = [\"jwt:sub\", \"ip\"]"
            ));
        }
        for (prefix, flag, candidate) in [
            ("/api/auth", "auth-cutover", "auth"),
            ("/api/questions", "quiz-cutover", "question"),
            ("/api/answers", "quiz-cutover", "quiz"),
            ("/api/stats", "quiz-cutover", "quiz"),
            ("/api/achievements", "quiz-cutover", "achievement"),
            ("/api/leaderboard", "quiz-cutover", "leaderboard"),
        ] {
            add(format!(
                "[[routes]]\nid = {:?}\nprefix = {prefix:?}\nlegacy = \"legacy\"\n\
                 candidate = {candidate:?}\nflag = {flag:?}\nfallback = true",
                prefix.trim_start_matches("/api/")
            ));
        }
        add("[[routes]]\nid = \"rest\"\nprefix = \"/\"\nlegacy = \"legacy\"".to_owned());
        text
    }

    fn spawn(&mut self, part: &str) {
        let file = self.file(part);
        let file = file.to_str().expect("UTF-8");
        let arguments = match part {
            "log" | "gateway" => vec![part, "--config", file],
            service => vec!["service", service.trim_end_matches("-2"), "--config", file],
        };
        let process = Process::spawn(BANYAN, arguments).expect("banyan starts");
        self.processes.insert(part.to_owned(), process);
    }

    async fn ready(&self, part: &str) {
        let url = format!("{}/health/ready", self.url(part));
        testkit::eventually(PATIENCE, || async {
            let response = reqwest::get(&url).await.map_err(anyhow::Error::new)?;
            let status = response.status();
            anyhow::ensure!(status.is_success(), "{part}: {}", response.text().await?);
            anyhow::Ok(())
        })
        .await;
    }

    fn process(&mut self, part: &str) -> &mut Process {
        self.processes
            .get_mut(part)
            .unwrap_or_else(|| panic!("no process {part}"))
    }

    async fn restart(&mut self, part: &str) {
        self.process(part).kill().expect("it was running");
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
    system
        .nats
        .restart_empty()
        .await
        .expect("nats-server starts again");
    system.answers(&player, "the broker's disk was wiped").await;

    system.nats.kill().await.expect("nats-server was running");
    system.answers(&player, "no broker at all").await;
    system
        .nats
        .restart()
        .await
        .expect("nats-server starts again");

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
