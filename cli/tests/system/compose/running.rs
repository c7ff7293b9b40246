//! Runs what compose describes as processes of this machine. What differs from the containers is
//! only where they are: names and ports become loopback ports, mounted paths folders of the test.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use cli::endpoints::{ADMIN_PORT, GATEWAY_PORT, SERVICES};
use serde_json::Value;
use testkit::{Nats, Postgres, Process, TempDir, eventually, free_port};

use super::rendered::{Compose, Service};
use crate::{BANYAN, PATIENCE};

/// Two cores start eleven processes, each of which makes its tables.
const START_WITHIN: Duration = Duration::from_secs(90);

pub(super) struct Deployment {
    compose: Compose,
    folder: TempDir,
    postgres: Postgres,
    /// By the container's name and the port inside of it.
    ports: BTreeMap<(String, u16), u16>,
    running: BTreeMap<String, Process>,
}

impl Deployment {
    /// Starts PostgreSQL as the compose file initialises it; nothing else yet.
    pub(super) async fn prepare(compose: Compose) -> Self {
        let postgres = Postgres::start().await.expect("PostgreSQL starts");
        let own = SERVICES.iter().copied();
        let others = [
            ("gateway", GATEWAY_PORT),
            ("gateway", ADMIN_PORT),
            ("nats", 4222),
            ("nats", 8222),
        ];
        let mut ports: BTreeMap<_, _> = own
            .chain(others)
            .map(|(name, port)| ((name.to_owned(), port), free_port()))
            .collect();
        ports.insert(("postgres".to_owned(), 5432), postgres.port());
        let deployment = Self {
            compose,
            folder: testkit::temp_dir(),
            postgres,
            ports,
            running: BTreeMap::new(),
        };
        deployment.initialise_postgres().await;
        deployment
    }

    pub(super) fn compose(&self) -> &Compose {
        &self.compose
    }

    pub(super) fn url(&self, name: &str, port: u16) -> String {
        format!("http://127.0.0.1:{}", self.ports[&(name.to_owned(), port)])
    }

    /// Starts everything in the order that `depends_on` demands, each part once the health checks
    /// that it waits for pass, until all pass.
    pub(super) async fn start(&mut self) {
        self.start_nats();
        let mut waiting: Vec<String> = self.compose.parts().map(|(n, _)| n.to_owned()).collect();
        while !waiting.is_empty() {
            let next = waiting.iter().position(|name| {
                let needs = &self.compose.services[name].depends_on;
                needs.keys().all(|needed| !waiting.contains(needed))
            });
            let name = waiting.remove(next.expect("no circle in depends_on"));
            let needs = &self.compose.services[&name].depends_on;
            for (needed, how) in needs {
                if how.condition == "service_healthy" {
                    self.healthy(needed).await;
                }
            }
            let service = &self.compose.services[&name];
            let process = Process::spawn_command(self.command(&name, service));
            self.running.insert(name, process.expect("banyan starts"));
        }
        for name in self.running.keys() {
            self.healthy(name).await;
        }
    }

    /// Ends every part as `docker stop` does; each must end cleanly before it would be killed.
    pub(super) async fn stop(mut self) {
        for (name, process) in &mut self.running {
            process
                .terminate()
                .unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        for (name, process) in &mut self.running {
            let grace = self.compose.services[name].grace();
            let status = process.exit(grace).await;
            if self.compose.services[name].is_part() {
                let output = process.output().join("\n");
                assert_eq!(status.code(), Some(0), "{name}: {output}");
            }
        }
    }

    /// An operator's command, run as `docker-compose run operator` does.
    pub(super) async fn operator(&self, arguments: &[&str]) -> Value {
        let mut command = self.command("operator", &self.compose.services["operator"]);
        let arguments = arguments
            .iter()
            .map(|argument| self.localised("operator", argument));
        let arguments: Vec<_> = arguments.collect();
        let output = command
            .arg("--json")
            .args(&arguments)
            .output()
            .expect("banyan starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Whether the container's own health check passes.
    pub(super) fn is_healthy(&self, name: &str) -> bool {
        self.probe(name).is_ok()
    }

    async fn healthy(&self, name: &str) {
        eventually(START_WITHIN, || std::future::ready(self.probe(name))).await;
    }

    fn probe(&self, name: &str) -> Result<(), String> {
        let service = &self.compose.services[name];
        let check = service.healthcheck.as_ref().expect("a health check");
        let mut command = match check.test.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["CMD", "/banyan", ref arguments @ ..] => {
                let mut command = self.command(name, service);
                command.args(arguments);
                command
            }
            ["CMD-SHELL", script] => {
                let mut command = Command::new("sh");
                command.args(["-c", &self.localised(name, script)]);
                command
            }
            _ => panic!("{name}: what is {:?}?", check.test),
        };
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let process = self.running.get(name).map(Process::output);
        Err(format!(
            "{name} is not healthy: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            process.unwrap_or_default().join("\n")
        ))
    }

    /// The program with the container's environment and nothing of ours.
    fn command(&self, name: &str, service: &Service) -> Command {
        let mut command = Command::new(BANYAN);
        command.env_clear().current_dir(self.folder.path());
        for argument in &service.command {
            command.arg(self.localised(name, argument));
        }
        for (variable, value) in &service.environment {
            command.env(variable, self.localised(name, value));
        }
        command
    }

    fn start_nats(&mut self) {
        let service = &self.compose.services["nats"];
        let binary = Nats::versions().into_iter().next().expect("a nats-server");
        let mut command = Command::new(binary.path);
        for argument in &service.command {
            command.arg(self.localised("nats", argument));
        }
        // Over the file's ports, which others may use here.
        let port = |port| self.ports[&("nats".to_owned(), port)].to_string();
        command.args(["--addr", "127.0.0.1", "--port", &port(4222)]);
        command.args(["--http_port", &port(8222)]);
        command.envs(&service.environment);
        let process = Process::spawn_command(command).expect("nats-server starts");
        self.running.insert("nats".to_owned(), process);
    }

    /// The text as it must read where the container's names and paths are not.
    fn localised(&self, name: &str, text: &str) -> String {
        let mut text = text.to_owned();
        for ((host, port), local) in &self.ports {
            let here = format!("127.0.0.1:{local}");
            for there in [
                format!("http://{host}:{port}"),
                format!("@{host}:{port}"),
                format!("0.0.0.0:{port}"),
            ] {
                let from = format!("{host}:{port}");
                let by = match there.strip_suffix(&from) {
                    Some(before) => format!("{before}{here}"),
                    None => here.clone(),
                };
                text = text.replace(&there, &by);
            }
            if host == name {
                text = text.replace(&format!("127.0.0.1:{port}"), &here);
                text = text.replace(&format!("--port {port}"), &format!("--port {local}"));
            }
        }
        let service = &self.compose.services[name];
        for mount in service.mounts() {
            if text.contains(mount.target) {
                let local = self.mounted(name, mount.source, mount.is_volume());
                text = text.replace(mount.target, &local.display().to_string());
            }
        }
        text
    }

    /// A volume's folder, or a copy of a mounted one whose texts are localised.
    fn mounted(&self, name: &str, source: &str, is_volume: bool) -> PathBuf {
        if is_volume {
            let folder = self.folder.path().join("volumes").join(source);
            std::fs::create_dir_all(&folder).expect("a writable folder");
            return folder;
        }
        let last = Path::new(source).file_name().expect("a name");
        let folder = self.folder.path().join("mounts").join(name).join(last);
        if !folder.exists() {
            std::fs::create_dir_all(&folder).expect("a writable folder");
            for entry in std::fs::read_dir(source).expect("a folder").flatten() {
                let text = std::fs::read_to_string(entry.path()).expect("a text");
                let copy = folder.join(entry.file_name());
                std::fs::write(copy, self.localised(name, &text)).expect("writable");
            }
        }
        folder
    }

    /// The image's entry point runs the scripts on an empty data folder, over a socket that trusts;
    /// afterwards only passwords open the server.
    async fn initialise_postgres(&self) {
        let service = &self.compose.services["postgres"];
        let mut scripts = service.mounts();
        scripts.retain(|mount| mount.target.starts_with("/docker-entrypoint-initdb.d/"));
        scripts.sort_by_key(|mount| mount.target);
        let [_, event_log] = &scripts[..] else {
            panic!("both scripts are mounted, and nothing else");
        };
        // The second one may be repeated.
        for script in scripts.iter().chain([event_log]) {
            let output = Command::new(script.source)
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("PGHOST", "127.0.0.1")
                .env("PGPORT", self.postgres.port().to_string())
                .envs(&service.environment)
                .output()
                .expect("the script runs");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {errors}", script.source);
        }
        let access = self
            .psql("postgres", "", "postgres", "SHOW hba_file")
            .expect("a superuser may");
        let rules = "host all postgres 127.0.0.1/32 trust\n\
                     host all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(Path::new(access.trim()), rules).expect("our server's file");
        self.psql("postgres", "", "postgres", "SELECT pg_reload_conf()")
            .expect("a superuser may");
        eventually(PATIENCE, || {
            let opened = self.psql("quiz", "wrong", "quiz", "SELECT 1");
            std::future::ready(opened.is_err())
        })
        .await;
    }

    fn psql(
        &self,
        user: &str,
        password: &str,
        database: &str,
        sql: &str,
    ) -> Result<String, String> {
        let port = self.postgres.port().to_string();
        let output = Command::new("psql")
            .args([
                "--no-psqlrc",
                "--no-password",
                "-AtX",
                "--host",
                "127.0.0.1",
            ])
            .args(["--port", &port, "--username", user, "--dbname", database])
            .args(["--command", sql])
            .env("PGPASSWORD", password)
            .output()
            .expect("psql is installed with PostgreSQL");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Each user may do what its service does, and nothing else.
    pub(super) fn check_rights(&self) {
        let environment = &self.compose.services["postgres"].environment;
        let as_user = |user: &str, database: &str, sql: &str| {
            let password = &environment[&format!("DB_PASSWORD_{}", user.to_uppercase())];
            self.psql(user, password, database, sql)
        };
        for (user, database, sql) in [
            ("quiz", "quiz", "SELECT count(*) FROM answers"),
            ("quiz", "event_log", "SELECT count(*) FROM events"),
            ("quiz", "event_log", "SELECT log_append('[]')"),
            ("quiz", "legacy", "SELECT count(*) FROM users"),
            ("quiz", "event_log", "SELECT count(*) FROM log_epochs"),
            ("gateway", "event_log", "SELECT log_append('[]')"),
            ("log", "event_log", "SELECT count(*) FROM leases"),
        ] {
            as_user(user, database, sql).unwrap_or_else(|e| panic!("{user}: {sql}: {e}"));
        }
        let insert = "INSERT INTO events SELECT * FROM events LIMIT 1";
        for (user, database, sql) in [
            ("quiz", "event_log", insert),
            ("quiz", "event_log", "DELETE FROM events"),
            ("quiz", "event_log", "UPDATE log_head SET head = 0"),
            ("quiz", "event_log", "UPDATE leases SET token = 0"),
            ("quiz", "event_log", "CREATE TABLE mine (id INT)"),
            ("quiz", "event_log", "CREATE TEMP TABLE events (id INT)"),
            ("quiz", "legacy", "DELETE FROM users"),
            ("quiz", "legacy", "CREATE TABLE mine (id INT)"),
            ("quiz", "auth", "SELECT 1"),
            ("quiz", "postgres", "SELECT 1"),
            ("gateway", "quiz", "SELECT 1"),
            ("maintenance", "legacy", "SELECT 1"),
            ("legacy", "event_log", "SELECT 1"),
            ("quiz", "quiz", "CREATE ROLE mine"),
        ] {
            let error = as_user(user, database, sql)
                .err()
                .unwrap_or_else(|| panic!("{user} may do this in {database}: {sql}"));
            assert!(
                error.contains("permission denied"),
                "{user}: {sql}: {error}"
            );
        }
    }
}
