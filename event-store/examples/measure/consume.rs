//! From an append to its effect in another process, and how quickly a backlog is read.
//!
//! Three processes, as in the distributed form: this one appends as a service does, one forwards the
//! log to NATS, one handles. The last two are this program again.

use std::{
    collections::BTreeMap,
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use bus::{Bus, NatsBus, NatsOptions};
use chassis::Shutdown;
use clap::Args;
use contracts::Recorded;
use database::{Database, Options, Tx, params};
use event_store::{
    Append, Consumers, Handler, HandlerError, Kind, Log, LogOptions, outbox, publisher,
};
use serde_json::{Value, json};
use testkit::Nats;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
};

use crate::{
    Place,
    event::{Ids, Source},
    window,
};

const NAME: &str = "measure.seen";
/// Events that one call appends while a backlog is made.
const BATCH: usize = 500;

/// An open model: each event is due at its own time, whatever happens to the others.
#[derive(Args)]
pub(crate) struct Hop {
    /// Events a second.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long, default_value_t = 1)]
    warm_up: u64,
    /// Without NATS: the consumer hears of appends from PostgreSQL.
    #[arg(long)]
    without_nats: bool,
}

/// A new consumer of a log that is full.
#[derive(Args)]
pub(crate) struct Backlog {
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
}

/// Where the other processes find everything.
#[derive(Args, Clone)]
pub(crate) struct Places {
    #[arg(long)]
    log: String,
    #[arg(long)]
    database: String,
    #[arg(long)]
    nats: Option<String>,
    /// Up to where it reads before it tells what it measured.
    #[arg(long, default_value_t = 0)]
    until: i64,
    /// What was read before and does not count.
    #[arg(long, default_value_t = 0)]
    after: i64,
}

/// A child of this process, which ends with it.
struct Part {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Part {
    async fn start(what: &str, places: &Places) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(what).args(["--log", &places.log]);
        command.args(["--database", &places.database]);
        command.args(["--until", &places.until.to_string()]);
        command.args(["--after", &places.after.to_string()]);
        if let Some(nats) = &places.nats {
            command.args(["--nats", nats]);
        }
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let out = child.stdout.take().context("its output is ours")?;
        let mut part = Self {
            _child: child,
            lines: BufReader::new(out).lines(),
        };
        ensure!(part.line().await? == "ready", "{what} is not ready");
        Ok(part)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = self.lines.next_line().await?;
        line.context("it ended before it measured anything")
    }
}

pub(crate) async fn hop(hop: Hop) -> anyhow::Result<Value> {
    let (empty, service) = (
        Place::Postgres.empty().await?,
        Place::Postgres.empty().await?,
    );
    let nats = match hop.without_nats {
        true => None,
        false => Some(Nats::start().await?),
    };
    let seconds = i64::try_from(hop.seconds)?;
    let (rate, warm_up) = (i64::try_from(hop.rate)?, i64::try_from(hop.warm_up)?);
    let count = rate * (warm_up + seconds);
    let places = Places {
        log: empty.url.clone(),
        database: service.url.clone(),
        nats: nats.as_ref().map(Nats::url),
        until: count,
        after: rate * warm_up,
    };
    let options = LogOptions {
        notified: false,
        ..LogOptions::default()
    };
    let log = Log::open(&empty.url, options).await?;
    let _forwards = match nats {
        Some(_) => Some(Part::start("forward", &places).await?),
        None => None,
    };
    let mut handles = Part::start("handle", &places).await?;
    let mut due = ticks(count, Duration::from_secs(1) / u32::try_from(hop.rate)?);
    let mut source = Source::new(Ids::Ordered, false);
    let mut appends = tokio::task::JoinSet::new();
    while let Some(at) = due.recv().await {
        let mut event = source.next();
        event.payload["due"] = json!(at);
        // Each is in order within its stream; those of one stream may overtake each other.
        let append = Append::any(event);
        let log = log.clone();
        appends.spawn(async move { log.append(vec![append]).await });
        while let Some(done) = appends.try_join_next() {
            done??;
        }
    }
    while let Some(done) = appends.join_next().await {
        done??;
    }
    Ok(serde_json::from_str(&handles.line().await?)?)
}

/// When each is due, in µs since 1970, told at that time by a thread of its own: the runtime's timer
/// is a millisecond coarse.
fn ticks(count: i64, every: Duration) -> mpsc::UnboundedReceiver<u64> {
    let (send, due) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let begin = now() + every;
        for number in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            let at = begin + every * number;
            std::thread::sleep(at.saturating_sub(now()));
            let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
            if send.send(micros).is_err() {
                return;
            }
        }
    });
    due
}

fn now() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

pub(crate) async fn backlog(backlog: Backlog) -> anyhow::Result<Value> {
    let (empty, service) = (
        Place::Postgres.empty().await?,
        Place::Postgres.empty().await?,
    );
    let log = Log::open(&empty.url, LogOptions::default()).await?;
    let mut source = Source::new(Ids::Ordered, false);
    let mut left = backlog.events;
    while left > 0 {
        let count = left.min(BATCH);
        let batch = source.batch(count).into_iter().map(Append::exact);
        log.append(batch.collect()).await?;
        left -= count;
    }
    let places = Places {
        log: empty.url.clone(),
        database: service.url.clone(),
        nats: None,
        until: i64::try_from(backlog.events)?,
        after: 0,
    };
    let began = std::time::Instant::now();
    let mut handles = Part::start("handle", &places).await?;
    let mut measured: Value = serde_json::from_str(&handles.line().await?)?;
    measured["rate"] = json!(backlog.events as f64 / began.elapsed().as_secs_f64());
    Ok(measured)
}

/// The process that forwards.
pub(crate) async fn forward(places: Places) -> anyhow::Result<()> {
    let log = Log::open(&places.log, LogOptions::default()).await?;
    let nats = places.nats.context("--nats")?;
    let bus = NatsBus::connect(&nats, NatsOptions::default()).await?;
    let bus: std::sync::Arc<dyn Bus> = std::sync::Arc::new(bus);
    println!("ready");
    publisher::run(log, bus, Shutdown::new()).await;
    Ok(())
}

/// The process that handles.
pub(crate) async fn handle(places: Places) -> anyhow::Result<Value> {
    let options = LogOptions {
        notified: places.nats.is_none(),
        ..LogOptions::default()
    };
    let log = Log::open(&places.log, options).await?;
    let database = Database::connect(&places.database, Options::default()).await?;
    database.migrate(outbox::migrations()).await?;
    let table = "CREATE TABLE seen (stream TEXT PRIMARY KEY, events BIGINT NOT NULL)";
    database.execute(table, Vec::new()).await?;
    let bus: Option<std::sync::Arc<dyn Bus>> = match &places.nats {
        Some(nats) => {
            let bus = NatsBus::connect(nats, NatsOptions::default()).await?;
            Some(std::sync::Arc::new(bus))
        }
        None => None,
    };
    let (handled, mut due) = mpsc::unbounded_channel();
    let consumers = Consumers::new(database, log).add(Seen { handled });
    let progress = consumers.progress(NAME).context("it was added")?;
    let stop = Shutdown::new();
    let (running, stopped) = (consumers.clone(), stop.clone());
    let run = tokio::spawn(async move { running.run(bus, stopped).await });
    println!("ready");
    let mut times = Vec::new();
    let mut position = 0;
    while position < places.until {
        let Some((at, from)) = due.recv().await else {
            bail!("the consumer ended");
        };
        position = at;
        // Told inside the handler's transaction; its effect is there once that has committed.
        progress.caught_up_to(position).await;
        if let Some(from) = from.filter(|_| position > places.after) {
            times.push(now().saturating_sub(Duration::from_micros(from)));
        }
    }
    stop.trigger();
    run.await?;
    let mut measured = match times.is_empty() {
        true => json!({}),
        false => window::quantiles(times),
    };
    measured["memory"] = json!(peak_memory()?);
    Ok(measured)
}

/// What this process held resident at most, in MiB.
fn peak_memory() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.context("no VmHWM")?.parse::<f64>()? / 1024.0)
}

/// A simple projection: how many events each stream has.
struct Seen {
    handled: mpsc::UnboundedSender<(i64, Option<u64>)>,
}

#[async_trait]
impl Handler for Seen {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Projection
    }

    fn types(&self) -> &'static [&'static str] {
        &[]
    }

    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        self.handle_batch(tx, &[event]).await
    }

    async fn handle_batch(&self, tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
        let mut counts = BTreeMap::<&str, i64>::new();
        for event in events {
            *counts.entry(&event.event.stream).or_default() += 1;
        }
        let sql = "INSERT INTO seen
                   SELECT key, value::bigint FROM jsonb_each_text($1)
                   ON CONFLICT (stream) DO UPDATE SET events = seen.events + excluded.events";
        tx.execute(sql, params![json!(counts)]).await?;
        for event in events {
            let due = event.event.payload["due"].as_u64();
            // Whoever measures has ended when nobody listens.
            let _ = self.handled.send((event.position, due));
        }
        Ok(())
    }
}
