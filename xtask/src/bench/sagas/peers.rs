//! The engines that are measured side by side, and how each is started.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};

use super::Options;
use crate::bench::options::Named;
use crate::bench::process::Process;
use crate::bench::programs::{self, Servers};
use crate::workspace::Workspace;

/// Whose sagas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    Embedded,
    Distributed,
    Restate,
    Dbos,
    DbosRust,
    Mire,
    Duroxide,
    Dtmrs,
    ByHand,
}

/// A form of ours that can be measured alone, beside all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Embedded,
    Distributed,
}

impl Named for Part {
    const ALL: &'static [Self] = &[Self::Embedded, Self::Distributed];

    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Distributed => "distributed",
        }
    }
}

impl Named for Peer {
    const ALL: &'static [Self] = &[
        Self::Embedded,
        Self::Distributed,
        Self::Restate,
        Self::Dbos,
        Self::DbosRust,
        Self::Mire,
        Self::Duroxide,
        Self::Dtmrs,
        Self::ByHand,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "Banyan, embedded",
            Self::Distributed => "Banyan, distributed",
            Self::Restate => "Restate",
            Self::Dbos => "DBOS, TypeScript",
            Self::DbosRust => "DBOS, Rust",
            Self::Mire => "mire-sagas",
            Self::Duroxide => "duroxide",
            Self::Dtmrs => "dtmrs",
            Self::ByHand => "by hand",
        }
    }

    fn is_ours(self) -> bool {
        matches!(self, Self::Embedded | Self::Distributed)
    }
}

impl Peer {
    pub(super) fn needs_postgres(self) -> bool {
        !matches!(self, Self::Embedded | Self::Distributed | Self::Restate)
    }

    /// Of one that is a program of Rust: its folder of `load/peers`, and its name there.
    fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::DbosRust => Some(("dbos-rust", "dbos-rust")),
            Self::Mire => Some(("mire", "mire-peer")),
            Self::Duroxide => Some(("duroxide", "duroxide-peer")),
            Self::Dtmrs => Some(("dtmrs", "dtmrs-peer")),
            Self::ByHand => Some(("by-hand", "saga")),
            Self::Embedded | Self::Distributed | Self::Restate | Self::Dbos => None,
        }
    }

    /// Builds or installs it: its program, or the folder of what npm has; none of ours.
    fn place(self, workspace: &Workspace) -> Option<anyhow::Result<PathBuf>> {
        let from_npm = |name| Some(programs::from_npm(workspace, name));
        match self {
            Self::Embedded | Self::Distributed => None,
            Self::Restate => from_npm("restate"),
            Self::Dbos => from_npm("dbos"),
            _ => {
                let (folder, program) = self.program()?;
                let built = programs::beside(workspace, folder);
                Some(built.map(|place| place.join(program)))
            }
        }
    }
}

/// Where the first of our ports lies; all of them are far from what the system uses.
const PORT: u16 = 18_410;
/// How long a server may take to answer a request about itself.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Where the programs are; a peer that this machine cannot have is left out of the tables.
pub(super) struct Programs {
    banyan: PathBuf,
    load: PathBuf,
    /// Starts PostgreSQL.
    pub(super) measure: PathBuf,
    peers: BTreeMap<Peer, PathBuf>,
}

impl Programs {
    /// Builds and installs what is missing.
    ///
    /// # Errors
    /// When ours do not build.
    pub(super) fn ready(workspace: &Workspace, options: &Options) -> anyhow::Result<Self> {
        let mut peers = BTreeMap::new();
        for peer in &options.peers {
            match peer.place(workspace) {
                None => {}
                Some(Ok(place)) => drop(peers.insert(*peer, place)),
                Some(Err(error)) => println!("    without {}: {error:#}", peer.name()),
            }
        }
        Ok(Self {
            banyan: programs::ours(workspace, "cli", "--bin", "banyan")?,
            load: programs::ours(workspace, "load", "--example", "sagas")?,
            measure: programs::ours(workspace, "event-store", "--example", "measure")?,
            peers,
        })
    }

    pub(super) fn has(&self, peer: Peer) -> bool {
        peer.is_ours() || self.peers.contains_key(&peer)
    }

    /// What makes the load.
    pub(super) fn load(&self) -> Command {
        Command::new(&self.load)
    }

    /// Starts it and tells the load where it is; ours the load starts itself.
    ///
    /// # Errors
    /// When it does not start or listen.
    pub(super) fn start(
        &self,
        peer: Peer,
        folder: &Path,
        servers: Option<&Servers>,
        load: &mut Command,
    ) -> anyhow::Result<Vec<Process>> {
        let missing = || format!("{} is not there", peer.name());
        let place = || self.peers.get(&peer).with_context(missing);
        let form = match peer {
            Peer::Embedded => "embedded",
            Peer::Distributed => "distributed",
            Peer::Restate => return restate(place()?, folder, load),
            Peer::Dbos => {
                let postgres = servers.with_context(missing)?;
                let mut command = Command::new("node");
                command.current_dir(place()?).arg("saga.mjs");
                command.args([&postgres.postgres, &PORT.to_string()]);
                return served(peer, "Node", command, postgres, folder, load);
            }
            Peer::DbosRust | Peer::Mire | Peer::Duroxide | Peer::Dtmrs | Peer::ByHand => {
                return program(peer, place()?, folder, servers, load);
            }
        };
        load.args(["--form", form, "--banyan"]).arg(&self.banyan);
        Ok(Vec::new())
    }
}

/// A program of Rust.
fn program(
    peer: Peer,
    path: &Path,
    folder: &Path,
    servers: Option<&Servers>,
    load: &mut Command,
) -> anyhow::Result<Vec<Process>> {
    let postgres = servers.context("PostgreSQL does not run")?;
    let mut command = Command::new(path);
    command.args([&postgres.postgres, &PORT.to_string()]);
    served(peer, "program", command, postgres, folder, load)
}

/// A program over PostgreSQL that serves sagas on the first port.
fn served(
    peer: Peer,
    part: &str,
    mut command: Command,
    postgres: &Servers,
    folder: &Path,
    load: &mut Command,
) -> anyhow::Result<Vec<Process>> {
    let mut process = Process::start(peer.name(), &mut command, folder)?;
    process.listens(address(PORT))?;
    load.args(["--at", &address(PORT).to_string(), "--path", "/answers"]);
    load.args(["--part", &format!("{part}={}", process.id())]);
    load.args(["--part", &format!("PostgreSQL={}", postgres.postgres_id)]);
    Ok(vec![process])
}

/// The server, with a process of services that it calls.
fn restate(programs: &Path, folder: &Path, load: &mut Command) -> anyhow::Result<Vec<Process>> {
    let [ingress, admin, fabric, services] = [PORT, PORT + 1, PORT + 2, PORT + 3];
    let data = folder.join("restate");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    let platform = "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server";
    let mut command = Command::new(programs.join(platform));
    command.args(["--no-logo", "--node-name", "bench", "--listen-mode", "tcp"]);
    command.arg("--base-dir").arg(&data);
    command.env(
        "RESTATE_INGRESS__BIND_ADDRESS",
        address(ingress).to_string(),
    );
    command.env("RESTATE_ADMIN__BIND_ADDRESS", address(admin).to_string());
    command.env("RESTATE_BIND_ADDRESS", address(fabric).to_string());
    command
        .env("RESTATE_DISABLE_TELEMETRY", "true")
        .env("RUST_LOG", "warn");
    let mut server = Process::start("restate-server", &mut command, folder)?;
    let mut command = Command::new("node");
    command.current_dir(programs).arg("saga.mjs");
    // It would write several lines for each saga.
    command
        .arg(services.to_string())
        .env("RESTATE_LOGGING", "ERROR");
    let mut node = Process::start("restate-services", &mut command, folder)?;
    server.listens(address(admin))?;
    server.listens(address(ingress))?;
    node.listens(address(services))?;
    let uri = format!("{{\"uri\":\"http://{}\"}}", address(services));
    let answer = post(address(admin), "/deployments", &uri)?;
    if !answer.starts_with("HTTP/1.1 201") {
        bail!("Restate takes no services: {answer}");
    }
    load.args(["--at", &address(ingress).to_string()]);
    load.args(["--path", "/Answers/{user}/submit"]);
    load.args(["--part", &format!("Restate={}", server.id())]);
    load.args(["--part", &format!("Node={}", node.id())]);
    Ok(vec![node, server])
}

fn post(address: SocketAddr, path: &str, body: &str) -> anyhow::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(ANSWERS_WITHIN))?;
    write!(
        connection,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
