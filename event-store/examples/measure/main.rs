//! What `cargo xtask bench log` runs of ours: appends to the log, and the same rows written by hand.
//!
//! Each run measures one thing and prints one line of JSON. PostgreSQL is the server that
//! `BANYAN_TEST_POSTGRES` names, or else one of its own with fsync on; `servers` starts such a one, and
//! a NATS, and keeps them until its input ends.

mod append;
mod by_hand;
mod consume;
mod event;
mod window;

use std::{io::Read, time::Duration};

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use testkit::{POSTGRES_URL, Postgres, TempDir, TestDatabase};

use self::{event::Ids, window::Window};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Starts PostgreSQL and NATS, prints where they are, and ends them with its input.
    Servers,
    /// Appends to the log.
    Append {
        /// Where the log lies.
        #[arg(long)]
        on: Place,
        #[command(flatten)]
        load: Load,
    },
    /// Writes the same rows into the log's table on PostgreSQL without the log.
    ByHand {
        /// Who may write at the same moment.
        #[arg(long)]
        order: by_hand::Order,
        #[command(flatten)]
        load: Load,
    },
    /// From an append to its effect in another process, at a fixed rate.
    Hop(consume::Hop),
    /// How quickly a new consumer reads a full log, and how much memory it takes.
    Backlog(consume::Backlog),
    /// A part of `hop`: forwards the log to NATS.
    Forward(consume::Places),
    /// A part of `hop` and `backlog`: handles.
    Handle(consume::Places),
}

#[derive(Clone, Copy, ValueEnum)]
enum Place {
    Postgres,
    Sqlite,
}

/// Who writes what for how long.
#[derive(Args, Clone, Copy)]
struct Load {
    /// Who writes at once, each one thing at a time.
    #[arg(long, default_value_t = 1)]
    callers: usize,
    /// Events in one commit of one caller.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// What comes before that and does not count.
    #[arg(long, default_value_t = 1)]
    warm_up: u64,
    #[arg(long, default_value = "ordered")]
    ids: Ids,
    /// Payloads so small that a row weighs what a peer's narrower one weighs.
    #[arg(long)]
    narrow: bool,
}

impl Load {
    fn window(self) -> Window {
        Window {
            warm_up: Duration::from_secs(self.warm_up),
            measured: Duration::from_secs(self.seconds),
        }
    }
}

/// An empty database, gone with the value; a server of its own ends after it.
struct Empty {
    url: String,
    _database: Option<TestDatabase>,
    _server: Option<Postgres>,
    _folder: Option<TempDir>,
}

impl Place {
    /// What tests stand on does not wait for the disk: here every commit does.
    async fn empty(self) -> anyhow::Result<Empty> {
        let Self::Postgres = self else {
            let folder = testkit::temp_dir();
            return Ok(Empty {
                url: format!("sqlite:{}", folder.path().join("log.db").display()),
                _database: None,
                _server: None,
                _folder: Some(folder),
            });
        };
        let is_there = std::env::var(POSTGRES_URL).is_ok_and(|url| !url.is_empty());
        let (server, database) = if is_there {
            (None, testkit::database().await)
        } else {
            let server = Postgres::start_durable().await?;
            let database = server.database().await?;
            (Some(server), database)
        };
        Ok(Empty {
            url: database.url().to_owned(),
            _database: Some(database),
            _server: server,
            _folder: None,
        })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let measured = match Arguments::parse().what {
        What::Servers => return servers().await,
        What::Append { on, load } => append::run(on, load).await?,
        What::ByHand { order, load } => by_hand::run(order, load).await?,
        What::Hop(hop) => consume::hop(hop).await?,
        What::Backlog(backlog) => consume::backlog(backlog).await?,
        What::Forward(places) => return consume::forward(places).await,
        What::Handle(places) => consume::handle(places).await?,
    };
    println!("{measured}");
    Ok(())
}

async fn servers() -> anyhow::Result<()> {
    let postgres = Postgres::start_durable().await?;
    let nats = testkit::Nats::start().await?;
    let places = serde_json::json!({
        "postgres": postgres.url(),
        "postgresId": postgres.id(),
        "nats": nats.url(),
        "natsId": nats.id(),
    });
    println!("{places}");
    let until = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    until.await?.context("the input cannot be read")?;
    Ok(())
}
