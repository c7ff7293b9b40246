//! A managed PostgreSQL, where owners make the tables and the parts only use them.

use std::{collections::BTreeMap, process::Command};

use cli::{
    endpoints::{ADMIN_PORT, Endpoints, GATEWAY_PORT, SERVICES},
    parts::NAMES,
};
use testkit::{Postgres, Process, TempDir};

use crate::{BANYAN, PARTS, PATIENCE, banyan, repository, run, said};

/// Who makes roles and databases; on a managed server nobody is a superuser.
const ADMINISTRATOR: &str = "cloud_admin";

/// A server that `deploy/postgres/managed.sh` has prepared.
struct Server {
    postgres: Postgres,
}

impl Server {
    async fn prepare() -> Self {
        let postgres = Postgres::start().await.expect("PostgreSQL starts");
        let server = Self { postgres };
        let create = format!("CREATE ROLE {ADMINISTRATOR} LOGIN CREATEROLE CREATEDB");
        server
            .psql("postgres", "postgres", &create)
            .await
            .expect("a superuser may");
        server.grant().await;
        server
    }

    async fn grant(&self) {
        let mut script = Command::new(repository("deploy/postgres/managed.sh"));
        script.env("PGHOST", "127.0.0.1");
        script.env("PGPORT", self.postgres.port().to_string());
        script.env("POSTGRES_USER", ADMINISTRATOR);
        for name in NAMES.iter().chain(&["log", "gateway"]) {
            let name = name.to_uppercase();
            script.env(format!("DB_PASSWORD_{name}"), "secret");
            script.env(format!("DB_PASSWORD_{name}_OWNER"), "secret");
        }
        let output = run(script).await;
        assert!(output.status.success(), "{}", said(&output));
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!(
            "postgres://{user}@127.0.0.1:{}/{database}",
            self.postgres.port()
        )
    }

    async fn psql(&self, user: &str, database: &str, sql: &str) -> Result<(), String> {
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--no-password", "--set", "ON_ERROR_STOP=1"]);
        psql.args(["--dbname", &self.url(user, database), "--command", sql]);
        let output = run(psql).await;
        output
            .status
            .success()
            .then_some(())
            .ok_or_else(|| said(&output))
    }

    /// Runs every migration as its Job does.
    async fn migrate(&self) {
        for (part, _) in PARTS {
            let (database, key) = match part {
                "log" => ("event_log", "LOG"),
                service => (service, "DATABASE"),
            };
            let name = format!("BANYAN_{}__{key}", part.to_uppercase());
            let url = self.url(&format!("{part}_owner"), database);
            let output = banyan(part, &[(name, url)])
                .arg("--migrate-only")
                .output()
                .await;
            let output = output.expect("banyan starts");
            assert!(output.status.success(), "{part}: {}", said(&output));
        }
    }
}

/// Every part in a process of its own, each with the database user of its name.
struct Running {
    folder: TempDir,
    offset: u16,
    processes: BTreeMap<&'static str, Process>,
}

impl Running {
    async fn start(server: &Server) -> Self {
        let mut running = Self {
            folder: testkit::temp_dir(),
            offset: testkit::free_port_offset(),
            processes: BTreeMap::new(),
        };
        for (part, port) in SERVICES.iter().chain(&[("gateway", ADMIN_PORT)]) {
            let settings = running.settings(server, part, *port);
            let mut command = Command::new(BANYAN);
            match *part {
                "gateway" => command
                    .arg("gateway")
                    .arg("--config")
                    .arg(running.gateway_file()),
                "log" => command.arg("log"),
                service => command.args(["service", service]),
            };
            command
                .env_clear()
                .envs(settings)
                .current_dir(running.folder.path());
            let process = Process::spawn_command(command).expect("banyan starts");
            running.processes.insert(part, process);
        }
        let endpoints = Endpoints::with_offset(running.offset);
        endpoints.write(running.folder.path()).expect("writable");
        running.verb(&["doctor", "--wait", "60"]).await;
        running
    }

    fn at(&self, port: u16) -> String {
        format!("127.0.0.1:{}", port + self.offset)
    }

    fn settings(&self, server: &Server, part: &str, port: u16) -> Vec<(String, String)> {
        let name = |key: &str| format!("BANYAN_{}__{key}", part.to_uppercase());
        let log = (name("LOG"), server.url(part, "event_log"));
        let listen = (name("LISTEN"), self.at(port));
        if part == "gateway" {
            let data = (name("LISTEN"), self.at(GATEWAY_PORT));
            let state = self.folder.path().join("flags.json").display().to_string();
            let admin = (name("ADMIN_LISTEN"), self.at(port));
            return vec![log, data, admin, (name("STATE_FILE"), state)];
        }
        let keys = (name("PERSONAL_KEYS"), testkit::PERSONAL_KEYS.to_owned());
        if part == "log" {
            return vec![log, listen, keys];
        }
        let mut settings = vec![listen, (name("DATABASE"), server.url(part, part))];
        if part != "legacy" {
            settings.push(log);
        }
        if ["auth", "quiz", "leaderboard"].contains(&part) {
            settings.push(keys);
        }
        if !["legacy", "maintenance"].contains(&part) {
            settings.push((name("LEGACY_DATABASE"), server.url(part, "legacy")));
        }
        if ["legacy", "auth"].contains(&part) {
            let key = self.folder.path().join("signing.pem");
            settings.push((name("SIGNING_KEY"), key.display().to_string()));
        } else {
            let keys = format!("http://{}/.well-known/jwks.json", self.at(9001));
            settings.push((name("JWKS_URL"), keys));
        }
        settings
    }

    /// The cluster's file, with the parts where they are here.
    fn gateway_file(&self) -> std::path::PathBuf {
        let file = repository("k8s/parts/gateway/gateway.toml");
        let mut text = std::fs::read_to_string(file).expect("the file");
        for (part, port) in SERVICES {
            text = text.replace(&format!("{part}:{port}"), &self.at(*port));
        }
        let path = self.folder.path().join("gateway.toml");
        std::fs::write(&path, text).expect("writable");
        path
    }

    async fn verb(&self, arguments: &[&str]) {
        let mut command = Command::new(BANYAN);
        command.args(["--config", "endpoints.toml"]).args(arguments);
        command.current_dir(self.folder.path());
        let output = run(command).await;
        let parts: Vec<_> = self
            .processes
            .iter()
            .map(|(name, it)| (name, it.output()))
            .collect();
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{parts:#?}",
            said(&output)
        );
    }
}

#[tokio::test]
async fn parts_work_with_users_that_own_nothing_and_those_can_do_no_more() {
    let server = Server::prepare().await;
    server.migrate().await;
    let mut running = Running::start(&server).await;
    // What the monolith has is taken over, and players play on the new side.
    running.verb(&["sync", "backfill"]).await;
    for flag in ["auth-cutover", "quiz-cutover"] {
        running
            .verb(&[
                "flags",
                "set",
                flag,
                "--percent",
                "100",
                "--reason",
                "all have moved",
            ])
            .await;
    }
    let mut smoke = Command::new(repository("deploy/smoke.sh"));
    smoke.env("GATEWAY", format!("http://{}", running.at(GATEWAY_PORT)));
    let smoke = run(smoke).await;
    assert!(smoke.status.success(), "{}", said(&smoke));
    running.verb(&["audit"]).await;
    // Tables that are there already get their grants by a repeat.
    server.grant().await;
    for (user, database, sql) in [
        ("quiz", "quiz", "CREATE TABLE mine (id INT)"),
        ("quiz", "quiz", "DROP TABLE answers"),
        ("quiz", "auth", "SELECT 1"),
        ("quiz", "event_log", "DELETE FROM events"),
        ("quiz", "event_log", "UPDATE log_head SET head = 0"),
        ("quiz", "legacy", "DELETE FROM users"),
        ("maintenance", "legacy", "SELECT 1"),
        ("legacy", "event_log", "SELECT 1"),
        ("gateway", "event_log", "DELETE FROM events"),
        ("gateway", "quiz", "SELECT 1"),
        ("log", "event_log", "DROP TABLE events"),
        ("log", "quiz", "SELECT 1"),
    ] {
        let error = server.psql(user, database, sql).await;
        let error = error.expect_err(&format!("{user} may do this in {database}: {sql}"));
        let refused = error.contains("permission denied") || error.contains("must be owner");
        assert!(refused, "{user}: {sql}: {error}");
    }
    for (part, process) in &mut running.processes {
        process
            .terminate()
            .unwrap_or_else(|error| panic!("{part}: {error}"));
    }
    for (part, process) in &mut running.processes {
        let status = process.exit(PATIENCE).await;
        assert_eq!(
            status.code(),
            Some(0),
            "{part}: {}",
            process.output().join("\n")
        );
    }
}
