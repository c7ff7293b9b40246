//! runbooks/consumer-lag.md: a consumer that waits for somebody's lock, and one that
//! somebody paused.

use std::time::Duration;

use database::{Database, Options, Tx, params};
use reqwest::StatusCode;
use serde_json::Value;

use super::Drill;
use crate::{distributed::System, player::expect};

#[tokio::test]
async fn consumer_lag() {
    let mut drill = Drill::on("consumer-lag.md", System::start()).await;
    let session = forgotten_session(&drill).await;
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
    drill.look().await;
    drill.is_there_still().await;
    drill.act().await;
    drill.verify().await;
    drill.undo().await;
    drill.end().await;
    drop(session);
}

/// Whoever opened it has gone home.
async fn forgotten_session(drill: &Drill) -> Tx {
    let url = drill.system().await.database("leaderboard").to_owned();
    // Ours would be ended by the server after ten seconds; somebody's own is not.
    let options = Options {
        idle_in_transaction_timeout: Duration::from_secs(600),
        ..Options::default()
    };
    let database = Database::connect(&url, options).await;
    let mut session = database.expect("a database").begin().await.expect("begun");
    session
        .execute("LOCK TABLE standings", params![])
        .await
        .expect("nobody else has it");
    session
}

async fn answer_is_taken_back(drill: &Drill) {
    let question = &drill.player().questions().await[0];
    let answer = drill.player().answer(question, "nobody counts it").await;
    let problem: Value = expect(answer.expect("an answer"), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(problem["code"], "answer_compensated");
}
