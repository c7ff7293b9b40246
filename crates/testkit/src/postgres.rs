//! Private PostgreSQL servers, and databases of their own for tests.

mod disk;
mod standby;

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use anyhow::{Context, bail};
use rustix::process::Signal;
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{
    free_port, guard,
    server::{Server, search_path},
};

/// The environment variable with a superuser's URL of a server that whole test runs share;
/// without it each test process starts a private server.
pub const POSTGRES_URL: &str = "BANYAN_TEST_POSTGRES";

/// Many test processes at once, each with several pools.
const MAX_CONNECTIONS: u32 = 500;

/// A private PostgreSQL server with an empty cluster, gone when the value is dropped.
///
/// Unless it is a durable one it runs with `fsync = off`: its data survives a crash of the server,
/// not one of the machine.
pub struct Postgres {
    server: Option<Server>,
    durability: Durability,
    port: u16,
    binaries: PathBuf,
    account: Option<Account>,
    folder: TempDir,
}

/// What a commit stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// As in production: nothing is lost when the machine stops. For measurements.
    Disk,
    /// Nothing waits for the disk: quicker, and enough for tests.
    Memory,
}

/// Whom the server runs as when we are root, which PostgreSQL refuses to be.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl Postgres {
    /// Creates a cluster in a temporary folder and starts a server on a free port.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; the text holds its last output.
    pub async fn start() -> anyhow::Result<Self> {
        tokio::task::spawn_blocking(|| Self::create(Durability::Memory)).await?
    }

    /// As [`Postgres::start`], with commits that reach the disk and PostgreSQL's own defaults for
    /// its write-ahead log, as a server in production has them.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_durable() -> anyhow::Result<Self> {
        tokio::task::spawn_blocking(|| Self::create(Durability::Disk)).await?
    }

    /// The server's process id; 0 while it does not run.
    pub fn id(&self) -> u32 {
        self.server.as_ref().map_or(0, Server::id)
    }

    /// Creates an empty database of this name, which ends with the server; its URL.
    ///
    /// # Errors
    /// When there is one already, or the server does not answer.
    pub async fn named(&self, name: &str) -> anyhow::Result<String> {
        let url = self.url();
        administrate(&url, format!("CREATE DATABASE {name}")).await?;
        let (server, _) = url
            .rsplit_once('/')
            .context("the server's URL names a database")?;
        Ok(format!("{server}/{name}"))
    }

    /// A database of this name that somebody else makes or has made, gone with the value.
    pub fn made(&self, name: &str) -> TestDatabase {
        let admin = self.url();
        let server = admin.trim_end_matches("/postgres");
        TestDatabase {
            name: name.to_owned(),
            url: format!("{server}/{name}"),
            admin,
        }
    }

    /// The superuser's URL of the database `postgres`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The port on 127.0.0.1, the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server as a crash would: no checkpoint, connections are cut. What was committed is
    /// there again after [`Postgres::restart`].
    ///
    /// # Errors
    /// When it cannot be stopped.
    pub async fn crash(&mut self) -> anyhow::Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || server.stop(Signal::QUIT)).await?
    }

    /// Starts the server again on its data and port; crashes it first if it runs.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.crash().await?;
        let (command, data, output) = self.command();
        let server = tokio::task::spawn_blocking(move || serve(command, data, &output)).await??;
        self.server = Some(server);
        Ok(())
    }

    /// A fresh, empty database on this server, gone with it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn database(&self) -> anyhow::Result<TestDatabase> {
        database_on(&self.url()).await
    }

    fn empty(durability: Durability) -> anyhow::Result<Self> {
        let binaries = binaries()?;
        let account = account()?;
        let folder = tempfile::Builder::new()
            .prefix("banyan-postgres-")
            .tempdir()?;
        guard::remove_at_death(folder.path());
        if let Some(account) = account {
            chown(folder.path(), Some(account.user), Some(account.group))?;
        }
        Ok(Self {
            server: None,
            durability,
            port: free_port(),
            binaries,
            account,
            folder,
        })
    }

    fn create(durability: Durability) -> anyhow::Result<Self> {
        let mut postgres = Self::empty(durability)?;
        postgres.initialise()?;
        let (command, data, output) = postgres.command();
        postgres.server = Some(serve(command, data, &output)?);
        Ok(postgres)
    }

    fn initialise(&self) -> anyhow::Result<()> {
        let mut command = self.as_account("initdb");
        if self.durability == Durability::Memory {
            // Small segments are quicker to make.
            command.args(["--no-sync", "--wal-segsize", "1"]);
        }
        let output = command
            .arg("--pgdata")
            .arg(self.data())
            .args([
                "--username",
                "postgres",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
            ])
            .arg("--no-locale")
            .stdin(Stdio::null())
            .output()
            .context("cannot run initdb")?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn command(&self) -> (Command, PathBuf, PathBuf) {
        let mut command = self.as_account("postgres");
        command.arg("-D").arg(self.data());
        for setting in [
            format!("port={}", self.port),
            format!("max_connections={MAX_CONNECTIONS}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            match self.durability {
                Durability::Disk => "fsync=on".to_owned(),
                Durability::Memory => "fsync=off".to_owned(),
            },
            match self.durability {
                // PostgreSQL's own default.
                Durability::Disk => "shared_buffers=128MB".to_owned(),
                Durability::Memory => "shared_buffers=64MB".to_owned(),
            },
        ] {
            command.args(["-c", &setting]);
        }
        (command, self.data(), self.folder.path().join("output"))
    }

    fn as_account(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        if let Some(account) = self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }
}

fn serve(command: Command, data: PathBuf, output: &Path) -> anyhow::Result<Server> {
    // An immediate shutdown on SIGQUIT; after SIGKILL its shared memory would stay.
    Server::start("PostgreSQL", command, output, Signal::QUIT, move |pid| {
        is_ready(&data, pid)
    })
}

/// What `pg_ctl --wait` looks at: the first line of the pid file is the server's, the eighth says
/// how far it is.
fn is_ready(data: &Path, pid: u32) -> bool {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = file.lines().collect();
    lines.first().is_some_and(|first| *first == pid.to_string())
        && lines.get(7).is_some_and(|state| state.trim() == "ready")
}

/// The folder with `initdb` and `postgres`: the newest that Debian installed, or one of PATH.
fn binaries() -> anyhow::Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions
        .into_iter()
        .map(|(_, folder)| folder)
        .chain(search_path())
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .context(
            "PostgreSQL's server is not installed (no initdb in PATH or /usr/lib/postgresql): \
             run `cargo xtask test`, or install the package `postgresql`",
        )
}

/// `postgres`, or `nobody` where the former does not exist; `None` unless we are root.
fn account() -> anyhow::Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            Some(Account {
                user: fields.nth(1)?.parse().ok()?,
                group: fields.next()?.parse().ok()?,
            })
        })
    };
    let account = find("postgres").or_else(|| find("nobody"));
    Ok(Some(account.context(
        "root needs a user `postgres` to run PostgreSQL as",
    )?))
}

/// A database of its own for one test, dropped with the value.
pub struct TestDatabase {
    name: String,
    admin: String,
    url: String,
}

impl TestDatabase {
    /// `postgres://…`, a superuser's.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name, unique on its server.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    /// Drops the database, whoever is still connected. Blocks, on a thread of its own because a
    /// runtime cannot wait inside another one.
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let admin = std::mem::take(&mut self.admin);
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(administrate(&admin, statement))
        })
        .join();
        if !matches!(dropped, Ok(Ok(()))) {
            eprintln!(
                "testkit: the database {} could not be dropped: {dropped:?}",
                self.name
            );
        }
    }
}

/// A fresh, empty database on the shared server (see [`POSTGRES_URL`]) or on this process's own.
///
/// # Panics
/// When there is no server and none can be started; the message says what to install.
pub async fn database() -> TestDatabase {
    create_database()
        .await
        .unwrap_or_else(|error| panic!("no test database: {error:#}"))
}

async fn create_database() -> anyhow::Result<TestDatabase> {
    database_on(&server_url().await?).await
}

async fn database_on(admin: &str) -> anyhow::Result<TestDatabase> {
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    // Copying files takes less than half the time of logging every page, which is the default.
    let statement = format!("CREATE DATABASE {name} STRATEGY file_copy");
    administrate(admin, statement).await?;
    let (server, _) = admin
        .rsplit_once('/')
        .context("the server's URL names a database")?;
    let url = format!("{server}/{name}");
    let admin = admin.to_owned();
    Ok(TestDatabase { name, admin, url })
}

/// The shared server's URL, or that of a private one which the guard stops when we end.
async fn server_url() -> anyhow::Result<String> {
    static PRIVATE: OnceCell<Postgres> = OnceCell::const_new();
    match std::env::var(POSTGRES_URL) {
        Ok(url) if !url.is_empty() => Ok(url),
        _ => Ok(PRIVATE.get_or_try_init(Postgres::start).await?.url()),
    }
}

async fn administrate(url: &str, statement: String) -> anyhow::Result<()> {
    let mut connection: PgConnection = PgConnectOptions::from_str(url)?
        .disable_statement_logging()
        .connect()
        .await
        .with_context(|| format!("cannot connect to {url}"))?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}
