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
// The blocks of Act, by their places.
const START: usize = 0;
const RETRY: usize = 1;
const POLICY: usize = 2;
const RESOLVE: usize = 3;
const ABANDON: usize = 4;

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

    drill.act_block(POLICY).await;
    // With the policy, an answer completes although nobody gives badges.
    drill.plays().await;
    // Final, so each names the saga that it is about.
    for block in [RESOLVE, ABANDON] {
        let saga = open_sagas(&drill).await.swap_remove(0);
        drill.variable("SAGA", &saga);
        drill.act_block(block).await;
    }
    drill.act_block(START).await;
    drill.act_block(RETRY).await;
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

/// The ids of the sagas that have not ended.
async fn open_sagas(drill: &Drill) -> Vec<String> {
    let list = ["sagas", "list", "--state", "open", "--older-than", "15"];
    let answer = drill.system().await.verb(&list).await;
    let items = answer["items"].as_array().into_iter().flatten();
    items
        .filter_map(|saga| saga["id"].as_str().map(ToOwned::to_owned))
        .collect()
}

async fn in_state(drill: &Drill, state: &str) -> usize {
    let system = drill.system().await;
    let answer = system.verb(&["sagas", "list", "--state", state]).await;
    answer["items"].as_array().map_or(0, Vec::len)
}
