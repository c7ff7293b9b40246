//! runbooks/saga-timeouts.md: a participant is gone while players answer.

use reqwest::StatusCode;
use serde_json::Value;

use super::Drill;
use crate::{
    distributed::System,
    player::{Player, expect},
};

/// One is resolved, one is given up, and one ends when the participant is back.
const ANSWERS: usize = 3;

#[tokio::test]
async fn saga_timeouts() {
    let mut drill = Drill::on("saga-timeouts.md", System::start()).await;
    let gateway = drill.system().await.url("gateway");
    drill.system().await.kill("achievement");
    let mut asked = Vec::new();
    for number in 0..ANSWERS {
        let player = Player::register(&gateway, &format!("Player {number}")).await;
        asked.push(answer_is_taken_back(player));
    }
    futures::future::join_all(asked).await;
    drill
        .found("a participant was killed while players answered")
        .await;
    drill.look().await;
    drill.is_there_still().await;

    drill.act_block(0).await;
    // With the policy, an answer completes although nobody gives badges.
    drill.plays().await;
    drill.act_from(1).await;
    let states = ["abandoned", "compensated"];
    let [abandoned, compensated] = states.map(async |state| in_state(&drill, state).await);
    assert_eq!((abandoned.await, compensated.await), (1, ANSWERS - 1));
    drill.verify().await;
    drill.undo().await;
    drill.end().await;
}

async fn answer_is_taken_back(player: Player) {
    let question = &player.questions().await[0];
    let answer = player.answer(question, "nobody gives badges").await;
    let problem: Value = expect(answer.expect("an answer"), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(problem["code"], "answer_compensated");
}

async fn in_state(drill: &Drill, state: &str) -> usize {
    let system = drill.system().await;
    let answer = system.verb(&["sagas", "list", "--state", state]).await;
    answer["items"].as_array().map_or(0, Vec::len)
}
