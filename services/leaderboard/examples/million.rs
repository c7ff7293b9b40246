//! Measures a board with a million players: `cargo run --release -p leaderboard --example million`,
//! with `-- --postgres` on a PostgreSQL of its own instead of SQLite.
//!
//! Reads go over HTTP on loopback, as clients send them, with a token that is verified; answers go
//! through the saga's participant, each with a commit of its own, on three boards of that size.
//! Every place that is read is held against counting.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chassis::Shutdown;
use clap::Parser;
use contracts::{Difficulty, Event, Payload, QuizMode, Recorded, events::AnswerSubmitted};
use database::{Database, Options, Sql, Timestamp, params};
use event_store::{Log, LogOptions};
use leaderboard::{
    Config,
    answers::Boards,
    domain::Board,
    store::{
        self,
        entries::{self, Line},
        tree::Tree,
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sagas::participating::{Applied, Participant};
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, Issuer};
use time::OffsetDateTime;
use uuid::Uuid;

/// Lines that one transaction of the filling writes.
const BATCH: usize = 2_000;

/// Reads whose time does not count: caches fill, statements are prepared.
const WARM_UP: usize = 300;

#[derive(Parser)]
struct Arguments {
    /// On a PostgreSQL server of its own instead of SQLite.
    #[arg(long)]
    postgres: bool,
    /// How many players stand on each board.
    #[arg(long, default_value_t = 1_000_000)]
    players: u32,
    /// How many times each read is measured.
    #[arg(long, default_value_t = 3_000)]
    reads: usize,
    /// How many answers are measured.
    #[arg(long, default_value_t = 1_000)]
    answers: usize,
}

struct Bench {
    db: Database,
    client: reqwest::Client,
    base: String,
    issuer: Issuer,
    players: u32,
    random: StdRng,
    rows: Vec<(String, Vec<Duration>)>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let backend = match arguments.postgres {
        true => Backend::postgres().await,
        false => Backend::sqlite(),
    };
    let folder = testkit::temp_dir();
    let log = format!("sqlite:{}", folder.path().join("log.db").display());
    let log = Log::open(
        &log,
        LogOptions {
            personal: Some(event_store::MasterKeys::parse(testkit::PERSONAL_KEYS).expect("keys")),
            ..LogOptions::default()
        },
    )
    .await?;
    let db = backend.open(Options::default()).await;
    let now = OffsetDateTime::now_utc();
    fill(&db, arguments.players, now).await?;
    let issuer = Issuer::start().await;
    let config = Config {
        listen: ([127, 0, 0, 1], testkit::free_port()).into(),
        database: backend.url.clone(),
        jwks_url: issuer.jwks_url(),
        ..Config::default()
    };
    let base = format!("http://{}", config.listen);
    let shutdown = Shutdown::new();
    let shared = Shared { log, bus: None };
    let running = tokio::spawn(leaderboard::run(config, shared, shutdown.clone()));
    let client = reqwest::Client::new();
    testkit::eventually(Duration::from_secs(60), || async {
        let ready = client.get(format!("{base}/health/ready")).send().await?;
        Ok::<_, reqwest::Error>(ready.status().is_success())
    })
    .await;
    let mut bench = Bench {
        db,
        client,
        base,
        issuer,
        players: arguments.players,
        random: StdRng::seed_from_u64(7),
        rows: Vec::new(),
    };
    bench.reads(arguments.reads).await?;
    bench.counting().await?;
    bench.answers(arguments.answers, now).await?;
    bench.places().await?;
    bench.print(backend.name);
    shutdown.trigger();
    running.await??;
    Ok(())
}

/// Player `number`'s id: spread as random ones are.
fn player(number: u32) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes())
}

/// Puts the players on the three boards that count now.
async fn fill(db: &Database, players: u32, now: OffsetDateTime) -> anyhow::Result<()> {
    const NAMES: Sql = Sql::by_dialect(
        "INSERT INTO players (user_id, display_name, source)
         SELECT id, 'Player ' || id, 'answer' FROM unnest($1) AS id",
        "INSERT INTO players (user_id, display_name, source)
         SELECT unhex(value), 'Player ' || value, 'answer' FROM json_each($1)",
    );
    let begun = Instant::now();
    for migrations in [
        event_store::outbox::migrations(),
        sagas::participant::migrations(),
        service::departed::migrations(),
        store::migrations(),
    ] {
        db.migrate(migrations).await?;
    }
    let boards = Board::counting(QuizMode::Classic, now);
    let mut random = StdRng::seed_from_u64(1);
    let all: Vec<u32> = (0..players).collect();
    for numbers in all.chunks(BATCH) {
        let mut tx = db.begin().await?;
        let users: Vec<Uuid> = numbers.iter().map(|number| player(*number)).collect();
        tx.execute(NAMES, params![users.clone()]).await?;
        for board in boards {
            let line = |user_id| Line {
                user_id,
                board: board.id(),
                base: 0,
                base_at: None,
                // Most have few points, some have many, and many have the same.
                points: i64::from(random.random_range(0..300_u32).pow(2) / 10 * 5),
                bonus: 0,
                reached_at: Timestamp::from(now)
                    - Duration::from_millis(random.random_range(0..1 << 30)),
            };
            let lines: Vec<Line> = users.iter().copied().map(line).collect();
            entries::insert_new(&mut tx, &lines).await?;
        }
        tx.commit().await?;
    }
    let filled = begun.elapsed();
    let begun = Instant::now();
    for board in boards {
        let mut tx = db.begin().await?;
        Tree::default().build(&mut tx, board.id()).await?;
        tx.commit().await?;
    }
    let built = begun.elapsed();
    // What autovacuum and the service's own life do in time.
    db.execute("ANALYZE", params![]).await?;
    println!("filled 3 boards with {players} players in {filled:.1?}, counted them in {built:.1?}");
    Ok(())
}

impl Bench {
    async fn get(&self, path: &str, token: Option<&str>) -> anyhow::Result<Value> {
        let mut request = self.client.get(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// One player at a time, then four at a time.
    async fn reads(&mut self, count: usize) -> anyhow::Result<()> {
        let tokens: Vec<String> = (0..WARM_UP.max(500))
            .map(|_| {
                let user = player(self.random.random_range(0..self.players));
                self.issuer.token(user, "somebody", &["user"])
            })
            .collect();
        for period in ["all", "day"] {
            let board = format!("/api/leaderboard?quizMode=classic&period={period}");
            let around = format!("/api/leaderboard/around?quizMode=classic&period={period}");
            self.measure(&format!("top 6, {period}"), &board, &[], count)
                .await?;
            self.measure(
                &format!("own place and top 6, {period}"),
                &board,
                &tokens,
                count,
            )
            .await?;
            self.measure(&format!("neighbourhood, {period}"), &around, &tokens, count)
                .await?;
        }
        let board = "/api/leaderboard?quizMode=classic";
        let begun = Instant::now();
        let clients = tokens.chunks(tokens.len() / 4).take(4).map(|tokens| async {
            let mut times = Vec::new();
            for token in tokens.iter().cycle().take(count / 4) {
                let begun = Instant::now();
                self.get(board, Some(token)).await?;
                times.push(begun.elapsed());
            }
            anyhow::Ok(times)
        });
        let times = futures::future::try_join_all(clients).await?.concat();
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        self.rows
            .push((format!("the same, 4 clients ({rate:.0}/s)"), times));
        self.pages(count / 10).await
    }

    async fn measure(
        &mut self,
        what: &str,
        path: &str,
        tokens: &[String],
        count: usize,
    ) -> anyhow::Result<()> {
        let mut times = Vec::with_capacity(count);
        for number in 0..WARM_UP + count {
            let token = tokens.get(number % tokens.len().max(1));
            let begun = Instant::now();
            self.get(path, token.map(String::as_str)).await?;
            if number >= WARM_UP {
                times.push(begun.elapsed());
            }
        }
        self.rows.push((what.to_owned(), times));
        Ok(())
    }

    /// Pages of 100 one after the other, as a client reads them.
    async fn pages(&mut self, count: usize) -> anyhow::Result<()> {
        let mut times = Vec::with_capacity(count);
        let mut cursor = String::new();
        for _ in 0..count {
            let path = format!("/api/leaderboard/entries?quizMode=classic&limit=100{cursor}");
            let begun = Instant::now();
            let page = self.get(&path, None).await?;
            times.push(begun.elapsed());
            let next = page["nextCursor"].as_str().context("a next page")?;
            cursor = format!("&cursor={next}");
        }
        self.rows.push(("page of 100".to_owned(), times));
        Ok(())
    }

    /// What a place costs when everybody above is counted, for comparison.
    async fn counting(&mut self) -> anyhow::Result<()> {
        let mut times = Vec::new();
        for _ in 0..30 {
            let user = player(self.random.random_range(0..self.players));
            let begun = Instant::now();
            self.counted(user).await?;
            times.push(begun.elapsed());
        }
        self.rows
            .push(("(a place by counting, without HTTP)".to_owned(), times));
        Ok(())
    }

    async fn counted(&self, user: Uuid) -> anyhow::Result<i64> {
        let board = entries::all_time(QuizMode::Classic).id();
        let (above,): (i64,) = self
            .db
            .fetch_one(
                "SELECT COUNT(*) FROM standings WHERE board = $1 AND rank_key <
                     (SELECT rank_key FROM standings WHERE user_id = $2 AND board = $1)",
                params![board, user],
            )
            .await?;
        Ok(above + 1)
    }

    /// Right answers of random players.
    async fn answers(&mut self, count: usize, now: OffsetDateTime) -> anyhow::Result<()> {
        let participant = Boards::default();
        let (mut effects, mut commits) = (Vec::new(), Vec::new());
        for number in 0..WARM_UP + count {
            let user = player(self.random.random_range(0..self.players));
            let ask = ask(user, now)?;
            let mut tx = self.db.begin().await?;
            let begun = Instant::now();
            let applied = participant.apply(&mut tx, &ask).await?;
            let effect = begun.elapsed();
            tx.commit().await?;
            ensure!(matches!(applied, Applied::Done(_)), "{applied:?}");
            if number >= WARM_UP {
                effects.push(effect);
                commits.push(begun.elapsed());
            }
        }
        self.rows
            .push(("answer on 3 boards, its effect".to_owned(), effects));
        self.rows
            .push(("the same with its commit".to_owned(), commits));
        Ok(())
    }

    /// Every place that is told is the one that counting says.
    async fn places(&mut self) -> anyhow::Result<()> {
        for _ in 0..30 {
            let user = player(self.random.random_range(0..self.players));
            let token = self.issuer.token(user, "somebody", &["user"]);
            let board = "/api/leaderboard?quizMode=classic";
            let told = self.get(board, Some(&token)).await?;
            let counted = self.counted(user).await?;
            ensure!(told["me"]["position"] == json!(counted), "{user}: {told}");
        }
        println!("30 places agree with counting");
        Ok(())
    }

    fn print(&mut self, database: &str) {
        println!("\n{database}, {} players, milliseconds", self.players);
        println!(
            "{:<36} {:>7} {:>8} {:>8} {:>8}",
            "", "n", "p50", "p99", "max"
        );
        for (what, times) in &mut self.rows {
            times.sort_unstable();
            let at = |part: usize| {
                let place = (times.len() * part / 100).min(times.len().saturating_sub(1));
                times
                    .get(place)
                    .map_or(0.0, |time| time.as_secs_f64() * 1e3)
            };
            let (count, p50, p99, max) = (times.len(), at(50), at(99), at(100));
            println!("{what:<36} {count:>7} {p50:>8.2} {p99:>8.2} {max:>8.2}");
        }
    }
}

fn ask(user_id: Uuid, now: OffsetDateTime) -> anyhow::Result<Recorded> {
    let answer_id = Uuid::now_v7();
    let submitted = AnswerSubmitted {
        answer_id,
        user_id,
        display_name: format!("Player {}", user_id.simple()).into(),
        question_id: Uuid::nil(),
        choice_id: "a".to_owned(),
        quiz_mode: QuizMode::Classic,
        category: "rust".to_owned(),
        difficulty: Difficulty::Easy,
        is_correct: true,
        points: 10,
        streak: 1,
    };
    let event = Event {
        id: answer_id,
        event_type: AnswerSubmitted::TYPE.to_owned(),
        stream: format!("answer-{answer_id}"),
        aggregate_id: answer_id.to_string(),
        version: 1,
        schema_version: AnswerSubmitted::SCHEMA_VERSION,
        payload: serde_json::to_value(&submitted)?,
        timestamp: now,
        correlation_id: answer_id,
        causation_id: None,
        saga_id: Some(answer_id),
        step: None,
        service_id: "million".to_owned(),
        traceparent: None,
    };
    let epoch = Uuid::nil();
    let position = 1;
    Ok(Recorded {
        epoch,
        position,
        recorded_at: None,
        event,
    })
}
