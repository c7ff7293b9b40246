//! runbooks/consumer-lag.md: a consumer that waits for somebody's lock, and one that
//! somebody paused.

use std::time::Duration;

use database::{Database, Options, Tx, params};
use reqwest::StatusCode;
use serde_json::Value;
use testkit::eventually;
use tokio::process::{Child, Command};

use super::Drill;
use crate::{PATIENCE, distributed::System, player::expect};

#[tokio::test]
async fn consumer_lag() {
    let mut drill = Drill::on("consumer-lag.md", System::start()).await;
    let session = session_with_a_lock(&drill, "leaderboard", "LOCK TABLE standings").await;
    answer_is_taken_back(&drill).await;
    drill
        .found("a forgotten session locked a table, and the consumer waits for it")
        .await;
    let system = drill.system().await;
    system
        .verb(&["consumers", "pause", "achievement", "badges"])
        .await;
    drop(system);
    drill.found("a consumer was paused").await;
    let mut bystander = Bystander::begin(&drill).await;
    // A minute is long for a test.
    drill.variable("FORGOTTEN", "1 second");
    drill.look().await;
    drill.is_there_still().await;
    drill.act().await;
    bystander.goes_on().await;
    drill.verify().await;
    drill.undo().await;
    drill.end().await;
    drop(session);
}

/// Whoever opened it has gone home.
async fn session_with_a_lock(drill: &Drill, part: &str, lock: &'static str) -> Tx {
    let url = drill.system().await.database(part).to_owned();
    // Ours would be ended by the server after ten seconds; somebody's own is not.
    let options = Options {
        idle_in_transaction_timeout: Duration::from_secs(600),
        ..Options::default()
    };
    let database = Database::connect(&url, options).await;
    let mut session = database.expect("a database").begin().await.expect("begun");
    session
        .execute(lock, params![])
        .await
        .expect("nobody else has it");
    session
}

/// Somebody at work in another database of the same server, and somebody else who waits for that.
struct Bystander {
    working: Tx,
    _waiting: Child,
}

impl Bystander {
    async fn begin(drill: &Drill) -> Self {
        drill
            .sql("maintenance", "CREATE TABLE bystanders (id bigint)")
            .await;
        let working = session_with_a_lock(drill, "maintenance", "LOCK TABLE bystanders").await;
        let url = drill.system().await.database("maintenance").to_owned();
        let waiting = Command::new("psql")
            .args(["--quiet", "--command", "SELECT FROM bystanders", &url])
            .kill_on_drop(true)
            .spawn()
            .expect("psql is installed with PostgreSQL");
        let is_waiting = "DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_locks
            WHERE NOT granted AND relation = 'bystanders'::regclass) > 0; END $$";
        eventually(PATIENCE, || drill.tries_sql("maintenance", is_waiting)).await;
        Self {
            working,
            _waiting: waiting,
        }
    }

    async fn goes_on(&mut self) {
        let inserted = self
            .working
            .execute("INSERT INTO bystanders VALUES (1)", params![])
            .await;
        inserted.expect("nobody ended this session");
    }
}

async fn answer_is_taken_back(drill: &Drill) {
    let question = &drill.player().questions().await[0];
    let answer = drill.player().answer(question, "nobody counts it").await;
    let problem: Value = expect(answer.expect("an answer"), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(problem["code"], "answer_compensated");
}
