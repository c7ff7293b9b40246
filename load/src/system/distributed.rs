//! A process for each part, on a PostgreSQL and a NATS of our own. PostgreSQL writes its log
//! through to the disk, as in production.

use std::{collections::BTreeMap, fmt::Write, path::Path, path::PathBuf};

use testkit::{Nats, Postgres, Process, free_port};

use super::{ADMINISTRATOR, Held, System, ourselves, ready, routing};
use crate::{process::Parts, site::Credentials};

/// The services, each with a database of its own.
pub(super) const SERVICES: [&str; 8] = [
    "legacy",
    "auth",
    "question",
    "quiz",
    "achievement",
    "leaderboard",
    "admin",
    "maintenance",
];
const LOG: &str = "log";
const PASSWORD: &str = "only good in this load";

pub(super) async fn start(banyan: PathBuf) -> anyhow::Result<System> {
    let folder = testkit::temp_dir();
    let postgres = Postgres::start_durable().await?;
    let nats = Nats::start().await?;
    let mut databases = BTreeMap::new();
    for part in SERVICES.into_iter().chain([LOG]) {
        databases.insert(part, postgres.named(part).await?);
    }
    let names = SERVICES.into_iter().chain([LOG, "gateway", "operators"]);
    let ports: BTreeMap<&str, u16> = names.map(|name| (name, free_port())).collect();
    let nats_url = nats.url();
    for part in SERVICES.into_iter().chain([LOG]) {
        let text = configuration(part, &ports, &databases, &nats_url, folder.path());
        std::fs::write(folder.path().join(format!("{part}.toml")), text)?;
    }
    let gateway = routing::text(&ports, &databases[LOG], folder.path())?;
    std::fs::write(folder.path().join("gateway.toml"), gateway)?;
    let operator = folder.path().join("operator.toml");
    std::fs::write(&operator, operators(&ports))?;

    let mut parts = vec![
        ourselves(),
        (postgres.id(), "PostgreSQL".to_owned()),
        (nats.id(), "NATS".to_owned()),
    ];
    let mut processes = Vec::new();
    let order = [LOG].into_iter().chain(SERVICES).chain(["gateway"]);
    for part in order {
        let file = folder.path().join(format!("{part}.toml"));
        let mut command = std::process::Command::new(&banyan);
        command.current_dir(folder.path());
        match part {
            LOG | "gateway" => command.arg(part),
            service => command.args(["service", service]),
        };
        let mut process = Process::spawn_command({
            command.arg("--config").arg(file);
            command
        })?;
        // Services import what legacy has, the gateway fetches the keys of auth: one after another.
        let port = if part == "gateway" { "operators" } else { part };
        let url = format!("http://127.0.0.1:{}/health/ready", ports[port]);
        ready(&mut process, part, &url).await?;
        parts.push((process.id(), part.to_owned()));
        processes.push(process);
    }
    let stores = vec![
        (
            "PostgreSQL tables and indexes".to_owned(),
            postgres.data().join("base"),
        ),
        ("NATS JetStream".to_owned(), nats.data()),
    ];
    Ok(System {
        description: "distributed: a process for each part, PostgreSQL (fsync on), NATS JetStream"
            .to_owned(),
        gateway: format!("http://127.0.0.1:{}", ports["gateway"]),
        administrator: Some(Credentials {
            email: ADMINISTRATOR.to_owned(),
            password: PASSWORD.to_owned(),
        }),
        parts: Parts(parts),
        stores,
        banyan,
        operator: Some(operator),
        is_ours: true,
        _held: Held {
            _processes: processes,
            _postgres: Some(postgres),
            _nats: Some(nats),
            _folder: Some(folder),
        },
    })
}

/// A part's own file.
fn configuration(
    part: &str,
    ports: &BTreeMap<&str, u16>,
    databases: &BTreeMap<&str, String>,
    nats: &str,
    folder: &Path,
) -> String {
    let mut out = format!("listen = \"127.0.0.1:{}\"\n", ports[part]);
    let mut add = |line: String| {
        // Writing to a String cannot fail.
        writeln!(out, "{line}").ok();
    };
    let (log, legacy) = (&databases[LOG], &databases["legacy"]);
    if part != LOG {
        add(format!("database = {:?}", databases[part]));
    }
    if part != "legacy" {
        add(format!("log = {log:?}\nnats = {nats:?}"));
    }
    if matches!(part, LOG | "auth" | "quiz" | "leaderboard") {
        add(format!("personal_keys = {:?}", testkit::PERSONAL_KEYS));
    }
    if matches!(part, "legacy" | "auth") {
        add(format!("signing_key = {:?}", folder.join("signing.pem")));
    }
    if !matches!(part, "legacy" | LOG | "maintenance") {
        add(format!("legacy_database = {legacy:?}"));
    }
    if !matches!(part, "legacy" | LOG | "auth") {
        let jwks = format!("http://127.0.0.1:{}/.well-known/jwks.json", ports["auth"]);
        add(format!("jwks_url = {jwks:?}"));
    }
    match part {
        "admin" => add("legacy_follow = \"1s\"".to_owned()),
        "maintenance" => add(format!("archive_dir = {:?}", folder.join("archive"))),
        // A table: it is the last.
        "legacy" | "auth" => add(format!(
            "[administrator]\nemail = {ADMINISTRATOR:?}\npassword = {PASSWORD:?}"
        )),
        _ => {}
    }
    out
}

/// What the verbs are told with `--config`.
fn operators(ports: &BTreeMap<&str, u16>) -> String {
    let local = |part: &str| format!("http://127.0.0.1:{}", ports[part]);
    let mut out = format!(
        "gateway = {:?}\nadmin = {:?}\n[services]\n",
        local("gateway"),
        local("operators")
    );
    for part in SERVICES.into_iter().chain([LOG]) {
        // Writing to a String cannot fail.
        writeln!(out, "{part} = {:?}", local(part)).ok();
    }
    out
}
