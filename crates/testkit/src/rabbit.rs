//! Private RabbitMQ servers: each with a node name, ports, cookie, log and data of its own, so that
//! it neither meets the system's server nor leaves one of Erlang's helpers behind.

mod cluster;

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context;
use rustix::process::Signal;
use tempfile::TempDir;

pub use self::cluster::RabbitCluster;
use crate::{
    free_port, guard,
    server::{Server, search_path},
};

/// The environment variable with the path of the script that starts the server.
const SCRIPT: &str = "BANYAN_TEST_RABBITMQ_SERVER";
/// Where Debian has that script; the one of PATH changes to another user first.
const DEBIAN: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// A local server greets at once, or it is not ready.
const GREETING_WITHIN: Duration = Duration::from_secs(1);

/// A private RabbitMQ server, gone with its data when the value is dropped.
///
/// It starts in some seconds, unlike a nats-server: a test that needs one asks it all it wants.
pub struct Rabbit {
    server: Option<Server>,
    /// Erlang's directory of nodes. Without one of ours, the server would start one that stays.
    directory: Option<Server>,
    script: PathBuf,
    port: u16,
    node_port: u16,
    directory_port: u16,
    /// Where it is spoken to over TLS, if anywhere.
    tls_port: Option<u16>,
    /// Whether it is found by other nodes.
    in_cluster: bool,
    folder: TempDir,
}

impl Rabbit {
    /// Starts a server on a free port, with everything it keeps in a fresh folder.
    ///
    /// # Errors
    /// When RabbitMQ is not installed or does not start; the text holds its last output.
    pub async fn start() -> anyhow::Result<Self> {
        Self::prepared(free_port())?.started().await
    }

    /// As [`Rabbit::start`], and spoken to over TLS as well, with a certificate and its key in PEM. Where there
    /// is an `authority`, its clients must show a certificate there that it has signed.
    ///
    /// # Errors
    /// As [`Rabbit::start`].
    pub async fn start_with_tls(
        certificate: &str,
        key: &str,
        authority: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut rabbit = Self::prepared(free_port())?;
        let port = free_port();
        rabbit.tls_port = Some(port);
        let mut configuration = format!("listeners.ssl.1 = 127.0.0.1:{port}\n");
        let files = [("certfile", Some(certificate)), ("keyfile", Some(key))];
        for (setting, text) in files.into_iter().chain([("cacertfile", authority)]) {
            let Some(text) = text else { continue };
            let file = rabbit.folder.path().join(setting);
            std::fs::write(&file, text)?;
            writeln!(configuration, "ssl_options.{setting} = {}", file.display())?;
        }
        if authority.is_some() {
            configuration.push_str("ssl_options.verify = verify_peer\n");
            configuration.push_str("ssl_options.fail_if_no_peer_cert = true\n");
        }
        rabbit.configure(&configuration)?;
        rabbit.started().await
    }

    async fn started(mut self) -> anyhow::Result<Self> {
        self.directory = Some(self.start_directory().await?);
        self.restart().await?;
        Ok(self)
    }

    fn configure(&self, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(
            self.folder.path().join("rabbitmq.conf"),
            text,
        )?)
    }

    /// A server that does not run yet, in a directory of nodes that does not either.
    fn prepared(directory_port: u16) -> anyhow::Result<Self> {
        let named = std::env::var_os(SCRIPT).map(PathBuf::from);
        let script = named.or_else(|| Some(PathBuf::from(DEBIAN)).filter(|path| path.is_file()));
        let script = script.context(
            "RabbitMQ is not installed: run `cargo xtask test`, install the package \
             `rabbitmq-server`, or name its script in BANYAN_TEST_RABBITMQ_SERVER",
        )?;
        let folder = tempfile::Builder::new()
            .prefix("banyan-rabbit-")
            .tempdir()?;
        guard::remove_at_death(folder.path());
        Ok(Self {
            server: None,
            directory: None,
            script,
            port: free_port(),
            node_port: free_port(),
            directory_port,
            tls_port: None,
            in_cluster: false,
            folder,
        })
    }

    /// `amqp://127.0.0.1:PORT`, the same over restarts.
    pub fn url(&self) -> String {
        format!("amqp://127.0.0.1:{}", self.port)
    }

    /// `amqps://127.0.0.1:PORT`, the same over restarts.
    ///
    /// # Panics
    /// When it was started without TLS.
    pub fn tls_url(&self) -> String {
        let port = self.tls_port.expect("it was started with TLS");
        format!("amqps://127.0.0.1:{port}")
    }

    /// The address behind [`Rabbit::url`], for a proxy in front.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The server's process id; 0 while it does not run.
    pub fn id(&self) -> u32 {
        self.server.as_ref().map_or(0, Server::id)
    }

    /// Whether the node has it on its disk that it has streams, which it notes some seconds after the
    /// first one. A node that is killed before never finds its streams again.
    ///
    /// # Errors
    /// When it has no streams at all.
    pub fn has_noted_streams(&self) -> anyhow::Result<bool> {
        let node = self.node();
        let folder = self.folder.path().join("data").join(&node);
        let names = std::fs::read(folder.join("coordination").join(&node).join("names.dets"))?;
        let name = b"rabbit_stream_coordinator";
        Ok(names.windows(name.len()).any(|bytes| bytes == name))
    }

    /// Kills the server (SIGKILL); the data stays as it was on the disk.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || server.stop(Signal::KILL)).await?
    }

    /// Starts the server again on its data and port; kills it first if it runs.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        let (command, output) = (self.command(), self.folder.path().join("output"));
        let address = self.address();
        let server = tokio::task::spawn_blocking(move || {
            Server::start("rabbitmq-server", command, &output, Signal::KILL, |_| {
                greets(address)
            })
        });
        self.server = Some(server.await??);
        Ok(())
    }

    /// Kills the server, wipes its disk and starts it again on the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_empty(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        let data = self.folder.path().join("data");
        if data.exists() {
            std::fs::remove_dir_all(data)?;
        }
        self.restart().await
    }

    fn node(&self) -> String {
        format!("banyan-{}@localhost", self.port)
    }

    fn command(&self) -> Command {
        let folder = self.folder.path();
        let node = self.node();
        // Distribution begins with the machine itself, so that nothing is started to find out
        // whether it could; it listens on loopback, where the cookie alone would guard it.
        let mut machine = format!(
            "-noinput -sname {node} -start_epmd false \
             -kernel inet_dist_use_interface {{127,0,0,1}} +sbwt none +sbwtdcpu none +sbwtdio none"
        );
        if !self.in_cluster {
            // Nobody looks for it in the directory.
            machine += &format!(" -erl_epmd_port {}", self.node_port);
        }
        let mut command = Command::new(&self.script);
        command
            .current_dir(folder)
            .env("HOME", folder)
            // The script becomes the server, instead of waiting for it: one process, whose id is known.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env("RABBITMQ_NODENAME", node)
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.node_port.to_string())
            .env("ERL_EPMD_PORT", self.directory_port.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", machine)
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("rabbitmq-env.conf"));
        command
    }

    async fn start_directory(&self) -> anyhow::Result<Server> {
        let found = search_path().into_iter().map(|folder| folder.join("epmd"));
        let program = found.into_iter().find(|path| path.is_file());
        let program =
            program.context("Erlang's `epmd` is not installed: it comes with RabbitMQ")?;
        let port = self.directory_port;
        let mut command = Command::new(program);
        command.args(["-address", "127.0.0.1", "-port", &port.to_string()]);
        let output = self.folder.path().join("epmd");
        let started = tokio::task::spawn_blocking(move || {
            Server::start("epmd", command, &output, Signal::KILL, |_| {
                TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), GREETING_WITHIN)
                    .is_ok()
            })
        });
        started.await?
    }

    /// All that the server wrote, over its restarts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn output(&self) -> anyhow::Result<String> {
        let bytes = std::fs::read(Path::join(self.folder.path(), "output"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A server that is ready answers a client's first word with the first method of the protocol; its
/// port opens last of all.
fn greets(address: SocketAddr) -> bool {
    let greeting = || -> std::io::Result<[u8; 11]> {
        let mut stream = TcpStream::connect_timeout(&address, GREETING_WITHIN)?;
        stream.set_read_timeout(Some(GREETING_WITHIN))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut frame = [0; 11];
        stream.read_exact(&mut frame)?;
        Ok(frame)
    };
    // A method's frame of channel 0, with connection.start (10, 10) in it.
    greeting().is_ok_and(|frame| frame[0] == 1 && frame[7..] == [0, 10, 0, 10])
}
