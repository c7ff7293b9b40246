//! Private nats-servers with JetStream.

mod cluster;
mod disturber;

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

pub use self::{
    cluster::NatsCluster,
    disturber::{Disturbance, NatsDisturber},
};
use crate::{
    free_port, guard,
    server::{Server, search_path},
};

/// The environment variable with paths of nats-server binaries, separated like PATH.
const BINARIES: &str = "BANYAN_TEST_NATS_SERVER";
/// Where `cargo xtask test` puts the current nats-server, below the workspace.
const TOOL: &str = "../../target/tools/nats-server/bin/nats-server";
/// A local server greets at once, or it is not ready.
const GREETING_WITHIN: Duration = Duration::from_secs(1);
/// How long a server may take to answer [`Nats::ask`].
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A nats-server program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsBinary {
    /// Where it is.
    pub path: PathBuf,
    /// Its version, as (2, 10, 7).
    pub version: (u32, u32, u32),
}

/// A private nats-server with JetStream, gone with its data when the value is dropped.
pub struct Nats {
    server: Option<Server>,
    binary: NatsBinary,
    port: u16,
    /// What it is told beyond its port and its store.
    arguments: Vec<String>,
    folder: TempDir,
}

impl Nats {
    /// All versions found, the newest first: in `BANYAN_TEST_NATS_SERVER`, in `target/tools` and
    /// in PATH. A suite that depends on the server runs over each.
    pub fn versions() -> Vec<NatsBinary> {
        let named = std::env::var_os(BINARIES).unwrap_or_default();
        let mut seen = HashSet::new();
        let mut found: Vec<NatsBinary> = std::env::split_paths(&named)
            .chain([Path::new(env!("CARGO_MANIFEST_DIR")).join(TOOL)])
            .chain(
                search_path()
                    .into_iter()
                    .map(|folder| folder.join("nats-server")),
            )
            .filter(|path| path.is_file())
            .filter_map(|path| {
                Some(NatsBinary {
                    version: version(&path)?,
                    path,
                })
            })
            .filter(|binary| seen.insert(binary.version))
            .collect();
        found.sort_by_key(|binary| std::cmp::Reverse(binary.version));
        found
    }

    /// Starts the newest version found.
    ///
    /// # Errors
    /// When no nats-server is installed or it does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_version(Self::newest()?).await
    }

    fn newest() -> anyhow::Result<NatsBinary> {
        Self::versions().into_iter().next().context(
            "nats-server is not installed: run `cargo xtask test`, install the package \
             `nats-server`, or name it in BANYAN_TEST_NATS_SERVER",
        )
    }

    /// Starts this version on a free port, with its store in a fresh folder.
    ///
    /// # Errors
    /// When it does not start; the text holds its last output.
    pub async fn start_version(binary: NatsBinary) -> anyhow::Result<Self> {
        let mut nats = Self::prepared(binary, Vec::new())?;
        nats.restart().await?;
        Ok(nats)
    }

    /// Starts the newest version found, spoken to over TLS alone: with a certificate and its key in PEM. Where
    /// there is an `authority`, its clients must show a certificate that it has signed.
    ///
    /// # Errors
    /// As [`Nats::start`].
    pub async fn start_with_tls(
        certificate: &str,
        key: &str,
        authority: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut nats = Self::prepared(Self::newest()?, Vec::new())?;
        let files = [("--tlscert", Some(certificate)), ("--tlskey", Some(key))];
        let of_clients = [("--tlscacert", authority)];
        nats.arguments.push("--tls".to_owned());
        for (argument, text) in files.into_iter().chain(of_clients) {
            let Some(text) = text else { continue };
            let file = nats.folder.path().join(&argument[2..]);
            std::fs::write(&file, text)?;
            nats.arguments
                .extend([argument.to_owned(), file.display().to_string()]);
        }
        let verify = authority.map(|_| "--tlsverify".to_owned());
        nats.arguments.extend(verify);
        nats.restart().await?;
        Ok(nats)
    }

    /// A server that does not run yet.
    fn prepared(binary: NatsBinary, arguments: Vec<String>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("banyan-nats-").tempdir()?;
        guard::remove_at_death(folder.path());
        Ok(Self {
            server: None,
            binary,
            port: free_port(),
            arguments,
            folder,
        })
    }

    /// `nats://127.0.0.1:PORT`, the same over restarts.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The address behind [`Nats::url`], for a proxy in front.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The server's process id; 0 while it does not run.
    pub fn id(&self) -> u32 {
        self.server.as_ref().map_or(0, Server::id)
    }

    /// The folder of its store.
    pub fn data(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The version that runs.
    pub fn version(&self) -> (u32, u32, u32) {
        self.binary.version
    }

    /// Asks the server to stop (SIGTERM) and waits for its end; the data stays.
    ///
    /// # Errors
    /// When it had to be killed.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.end(Signal::TERM).await
    }

    /// Kills the server (SIGKILL); the data stays as it was on the disk.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.end(Signal::KILL).await
    }

    /// Stops it where it is (SIGSTOP), until [`Nats::thaw`] or its end.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts the server again on its data and port; kills it first if it runs.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        let address = self.address();
        let mut command = Command::new(&self.binary.path);
        command
            .current_dir(self.folder.path())
            .args([
                "--addr",
                "127.0.0.1",
                "--port",
                &self.port.to_string(),
                "--jetstream",
            ])
            .arg("--store_dir")
            .arg(self.store())
            .args(&self.arguments);
        let output = self.folder.path().join("output");
        let server = tokio::task::spawn_blocking(move || {
            Server::start("nats-server", command, &output, Signal::KILL, |_| {
                greets(address)
            })
        })
        .await??;
        self.server = Some(server);
        Ok(())
    }

    /// Kills the server, wipes its disk and starts it again on the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_empty(&mut self) -> anyhow::Result<()> {
        self.wipe().await?;
        self.restart().await
    }

    /// Kills the server and wipes its disk.
    ///
    /// # Errors
    /// When its disk cannot be wiped.
    pub async fn wipe(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        if self.store().exists() {
            std::fs::remove_dir_all(self.store())?;
        }
        Ok(())
    }

    /// Asks the server for something of its own (`$JS.API.…`); the answer's JSON. Speaks just enough
    /// of the protocol, so that no client has to be trusted.
    ///
    /// # Errors
    /// When it does not answer: without a leader a cluster does not.
    pub async fn ask(&self, subject: &str, body: &str) -> anyhow::Result<serde_json::Value> {
        let asking = async {
            let stream = tokio::net::TcpStream::connect(self.address()).await?;
            let (from, mut to) = stream.into_split();
            let request = format!(
                "CONNECT {{\"verbose\":false}}\r\nSUB inbox 1\r\nPUB {subject} inbox {}\r\n{body}\r\n",
                body.len()
            );
            to.write_all(request.as_bytes()).await?;
            let mut lines = tokio::io::BufReader::new(from).lines();
            while let Some(line) = lines.next_line().await? {
                if line.starts_with('{') {
                    return Ok(serde_json::from_str(&line)?);
                }
            }
            bail!("the server closed the connection")
        };
        tokio::time::timeout(ANSWER_WITHIN, asking).await?
    }

    /// All that the server wrote, over its restarts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn output(&self) -> anyhow::Result<String> {
        let bytes = std::fs::read(self.folder.path().join("output"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The folder of the JetStream store.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let server = self.server.as_ref();
        server.map_or(Ok(()), |server| server.signal(signal))
    }

    async fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || server.stop(signal)).await?
    }
}

/// A nats-server opens its port after JetStream has started, and speaks first.
fn greets(address: SocketAddr) -> bool {
    let greeting = || -> anyhow::Result<String> {
        let stream = TcpStream::connect_timeout(&address, GREETING_WITHIN)?;
        stream.set_read_timeout(Some(GREETING_WITHIN))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        if !line.contains("\"jetstream\":true") {
            bail!("JetStream is not there");
        }
        Ok(line)
    };
    greeting().is_ok()
}

/// From `nats-server: v2.9.10`.
fn version(path: &Path) -> Option<(u32, u32, u32)> {
    let output = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let numbers = text.trim().rsplit_once('v')?.1;
    let mut numbers = numbers.split(['.', '-']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_server_prints() {
        assert_eq!(parse_version("nats-server: v2.9.10\n"), Some((2, 9, 10)));
        assert_eq!(parse_version("nats-server: v2.12.0-RC.1"), Some((2, 12, 0)));
        assert_eq!(parse_version("something else"), None);
    }
}
