//! runbooks/data-inconsistent.md: somebody had a hand in two databases.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::Drill;
use crate::{PATIENCE, distributed::System, player::expect};

/// A question that a curator wrote on the new side; its id.
async fn written(drill: &Drill) -> String {
    let administrator = drill.system().await.administrator().await;
    let admin = drill.system().await.url("admin");
    let written = reqwest::Client::new()
        .post(format!("{admin}/api/admin/questions"))
        .bearer_auth(&administrator.session.access_token)
        .json(&json!({
            "text": "Which of these planets is the largest one?",
            "category": "science", "difficulty": "easy", "correctChoiceId": "b",
            "choices": [
                { "id": "a", "text": "Mars" }, { "id": "b", "text": "Jupiter" },
                { "id": "c", "text": "Venus" }, { "id": "d", "text": "Mercury" },
            ],
        }))
        .send()
        .await
        .expect("admin answers");
    assert!(written.status().is_success(), "{}", written.status());
    let written: Value = written.json().await.expect("JSON");
    let id = written["id"].as_str().expect("an id").to_owned();
    let shown = format!(
        "{}/api/questions/{id}",
        drill.system().await.url("question")
    );
    testkit::eventually(PATIENCE, || async {
        let answer = reqwest::get(&shown).await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;
    id
}

#[tokio::test]
async fn data_inconsistent() {
    let mut drill = Drill::on("data-inconsistent.md", System::start()).await;
    drill.is_hidden();
    let question = written(&drill).await;
    let player = drill.player().session.user.id.to_string();
    drill
        .sql(
            "question",
            &format!("DELETE FROM questions WHERE id = '{question}'"),
        )
        .await;
    {
        // Its cache still had it.
        let mut system = drill.system().await;
        system.kill("question");
        system.start_again("question").await;
    }
    drill
        .sql(
            "leaderboard",
            &format!(
                "UPDATE standings SET points = points + 1000, score = score + 1000
                 WHERE user_id = '{player}'"
            ),
        )
        .await;
    drill
        .found("a question was deleted and a score raised, both by SQL")
        .await;
    drill.variable("PLAYER", &player);
    drill.variable("TOO_MUCH", "1000");
    drill.look().await;
    drill.is_there_still().await;
    drill.act().await;
    drill.verify().await;
    let url = format!(
        "{}/api/questions/{question}",
        drill.system().await.url("question")
    );
    let shown = reqwest::get(url).await.expect("question answers");
    let shown: Value = expect(shown, StatusCode::OK).await;
    assert_eq!(shown["id"], question.as_str());
    drill.undo().await;
    drill.end().await;
}
