//! The answer-submission saga's four writes, each a statement with its commit on PostgreSQL; repeated
//! ones write nothing new.

use anyhow::Context;
use tokio::sync::{Mutex, Semaphore};
use tokio_postgres::{Client, Config, NoTls, Statement};
use uuid::Uuid;

/// As many as PostgreSQL serves well on few cores.
const CONNECTIONS: usize = 32;

const TABLES: &str = "
    CREATE TABLE answers (id UUID PRIMARY KEY, user_id UUID NOT NULL, question_id UUID NOT NULL,
                          status TEXT NOT NULL, at TIMESTAMPTZ NOT NULL);
    CREATE INDEX answers_of_user ON answers (user_id, at);
    CREATE TABLE stats (user_id UUID PRIMARY KEY, answered BIGINT NOT NULL, streak BIGINT NOT NULL);
    CREATE TABLE achievement_ledger (saga_id UUID PRIMARY KEY, outcome TEXT NOT NULL);
    CREATE TABLE achievements (user_id UUID PRIMARY KEY, answers BIGINT NOT NULL);
    CREATE TABLE board_ledger (saga_id UUID PRIMARY KEY, outcome TEXT NOT NULL);
    CREATE TABLE board (user_id UUID PRIMARY KEY, score BIGINT NOT NULL);
    CREATE INDEX board_by_score ON board (score DESC);";

const RECORD: &str = "
    WITH answer AS (INSERT INTO answers VALUES ($1, $2, $1, 'pending', now())
                    ON CONFLICT DO NOTHING RETURNING user_id)
    INSERT INTO stats SELECT user_id, 1, 1 FROM answer
    ON CONFLICT (user_id) DO UPDATE SET answered = stats.answered + 1, streak = stats.streak + 1";
const ACHIEVEMENT: &str = "
    WITH ledger AS (INSERT INTO achievement_ledger VALUES ($1, 'done')
                    ON CONFLICT DO NOTHING RETURNING saga_id)
    INSERT INTO achievements SELECT $2::uuid, 1 FROM ledger
    ON CONFLICT (user_id) DO UPDATE SET answers = achievements.answers + 1";
const BOARD: &str = "
    WITH ledger AS (INSERT INTO board_ledger VALUES ($1, 'done')
                    ON CONFLICT DO NOTHING RETURNING saga_id)
    INSERT INTO board SELECT $2::uuid, 10 FROM ledger
    ON CONFLICT (user_id) DO UPDATE SET score = board.score + 10";
const DONE: &str = "UPDATE answers SET status = 'completed' WHERE id = $1 AND user_id = $2";

/// One of the four.
#[derive(Clone, Copy, Debug)]
pub enum Write {
    Record,
    Achievement,
    Board,
    Done,
}

/// Connections to a database of its own.
pub struct Writes {
    /// That database.
    pub url: String,
    free: Mutex<Vec<Link>>,
    places: Semaphore,
}

struct Link {
    client: Client,
    record: Statement,
    achievement: Statement,
    board: Statement,
    done: Statement,
}

impl Writes {
    /// Makes the database and its tables on a server, by a superuser's URL.
    pub async fn open(server: &str) -> anyhow::Result<Self> {
        let name = format!("peer_{}", std::process::id());
        let create = format!("CREATE DATABASE {name}");
        connect(&server.parse()?)
            .await?
            .batch_execute(&create)
            .await?;
        let (server, _) = server.rsplit_once('/').context("a URL names a database")?;
        let url = format!("{server}/{name}");
        let place: Config = url.parse()?;
        connect(&place).await?.batch_execute(TABLES).await?;
        let mut links = Vec::new();
        for _ in 0..CONNECTIONS {
            links.push(Link::open(&place).await?);
        }
        Ok(Self {
            url,
            places: Semaphore::new(links.len()),
            free: Mutex::new(links),
        })
    }

    pub async fn write(&self, write: Write, id: Uuid, user: Uuid) -> anyhow::Result<()> {
        let _place = self.places.acquire().await?;
        let link = self.free.lock().await.pop();
        let link = link.context("a place stands for a free connection")?;
        let statement = match write {
            Write::Record => &link.record,
            Write::Achievement => &link.achievement,
            Write::Board => &link.board,
            Write::Done => &link.done,
        };
        let written = link.client.execute(statement, &[&id, &user]).await;
        self.free.lock().await.push(link);
        written?;
        Ok(())
    }
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

async fn connect(place: &Config) -> anyhow::Result<Client> {
    let (client, connection) = place.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("{error}");
        }
    });
    Ok(client)
}
