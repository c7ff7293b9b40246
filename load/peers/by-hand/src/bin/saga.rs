//! The answer-submission saga's four writes by hand, in four commits on PostgreSQL, without an engine:
//! record, two participants in parallel, done. Nobody would finish one after a crash.
//!
//! `saga URL PORT` serves it over HTTP: a POST of `{"userId": …}` is one saga. URL is a superuser's; the
//! tables lie in a database of their own.

#[path = "../http.rs"]
mod http;

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::{Mutex, Semaphore};
use tokio_postgres::{Client, Config, NoTls, Statement};
use uuid::Uuid;

/// As many as PostgreSQL serves well on few cores.
const CONNECTIONS: usize = 32;

const TABLES: &str = "
    CREATE TABLE sagas (id UUID PRIMARY KEY, state TEXT NOT NULL, changed_at TIMESTAMPTZ NOT NULL);
    CREATE TABLE answers (id UUID PRIMARY KEY, user_id UUID NOT NULL, question_id UUID NOT NULL,
                          correct BOOLEAN NOT NULL, status TEXT NOT NULL, at TIMESTAMPTZ NOT NULL);
    CREATE INDEX answers_of_user ON answers (user_id, at);
    CREATE TABLE stats (user_id UUID PRIMARY KEY, answered BIGINT NOT NULL, streak BIGINT NOT NULL);
    CREATE TABLE achievement_ledger (saga_id UUID PRIMARY KEY, outcome TEXT NOT NULL);
    CREATE TABLE achievements (user_id UUID PRIMARY KEY, answers BIGINT NOT NULL);
    CREATE TABLE board_ledger (saga_id UUID PRIMARY KEY, outcome TEXT NOT NULL);
    CREATE TABLE board (user_id UUID PRIMARY KEY, score BIGINT NOT NULL);
    CREATE INDEX board_by_score ON board (score DESC);";

const RECORD: &str = "
    WITH saga AS (INSERT INTO sagas VALUES ($1, 'running', now())),
         stats AS (INSERT INTO stats VALUES ($2, 1, 1) ON CONFLICT (user_id)
                   DO UPDATE SET answered = stats.answered + 1, streak = stats.streak + 1)
    INSERT INTO answers VALUES ($1, $2, $3, TRUE, 'pending', now())";
const ACHIEVEMENT: &str = "
    WITH ledger AS (INSERT INTO achievement_ledger VALUES ($1, 'done'))
    INSERT INTO achievements VALUES ($2, 1)
    ON CONFLICT (user_id) DO UPDATE SET answers = achievements.answers + 1";
const BOARD: &str = "
    WITH ledger AS (INSERT INTO board_ledger VALUES ($1, 'done'))
    INSERT INTO board VALUES ($2, 10)
    ON CONFLICT (user_id) DO UPDATE SET score = board.score + 10";
const DONE: &str = "
    WITH saga AS (UPDATE sagas SET state = 'completed', changed_at = now() WHERE id = $1)
    UPDATE answers SET status = 'completed' WHERE id = $1";

struct Link {
    client: Client,
    record: Statement,
    achievement: Statement,
    board: Statement,
    done: Statement,
}

struct Pool {
    free: Mutex<Vec<Link>>,
    places: Semaphore,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, port] = words.as_slice() else {
        anyhow::bail!("saga URL PORT");
    };
    let name = format!("by_hand_{}", std::process::id());
    let admin = connect(&url.parse()?).await?;
    admin
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await?;
    drop(admin);
    let mut place: Config = url.parse()?;
    place.dbname(&name);
    connect(&place).await?.batch_execute(TABLES).await?;
    let mut links = Vec::new();
    for _ in 0..CONNECTIONS {
        links.push(Link::open(&place).await?);
    }
    let pool = Arc::new(Pool {
        places: Semaphore::new(links.len()),
        free: Mutex::new(links),
    });
    http::serve(port.parse()?, move |user| {
        let pool = Arc::clone(&pool);
        async move { saga(&pool, user).await }
    })
    .await
}

async fn saga(pool: &Pool, user: Uuid) -> anyhow::Result<()> {
    let (id, question) = (Uuid::now_v7(), Uuid::new_v4());
    pool.with(async |link| {
        let Link { client, record, .. } = link;
        client.execute(record, &[&id, &user, &question]).await
    })
    .await?;
    let achievement = pool.with(async |link| {
        let Link {
            client,
            achievement,
            ..
        } = link;
        client.execute(achievement, &[&id, &user]).await
    });
    let board = pool.with(async |link| {
        let Link { client, board, .. } = link;
        client.execute(board, &[&id, &user]).await
    });
    tokio::try_join!(achievement, board)?;
    pool.with(async |link| {
        let Link { client, done, .. } = link;
        client.execute(done, &[&id]).await
    })
    .await?;
    Ok(())
}

impl Link {
    async fn open(place: &Config) -> anyhow::Result<Self> {
        let client = connect(place).await?;
        Ok(Self {
            record: client.prepare(RECORD).await?,
            achievement: client.prepare(ACHIEVEMENT).await?,
            board: client.prepare(BOARD).await?,
            done: client.prepare(DONE).await?,
            client,
        })
    }
}

impl Pool {
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&Link) -> Result<T, tokio_postgres::Error>,
    ) -> anyhow::Result<T> {
        let _place = self.places.acquire().await?;
        let link = self.free.lock().await.pop();
        let link = link.context("a place stands for a free connection")?;
        let outcome = work(&link).await;
        self.free.lock().await.push(link);
        Ok(outcome?)
    }
}

async fn connect(place: &Config) -> anyhow::Result<Client> {
    let (client, connection) = place.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("{error}");
        }
    });
    Ok(client)
}
