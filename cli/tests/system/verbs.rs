//! Operators' verbs that no other test needs on its way.

use serde_json::Value;

use crate::{
    PATIENCE, banyan,
    embedded::Up,
    player::{Player, expect},
};

#[tokio::test]
async fn a_new_routing_file_is_in_force_when_apply_returns_and_a_faulty_one_changes_nothing() {
    let up = Up::start().await;
    let live = up.folder.path().join(".banyan/gateway.toml");
    let text = std::fs::read_to_string(&live).expect("up wrote it");
    let new = up.folder.path().join("new.toml");
    let edited = text.replace("\"/api/leaderboard\"", "\"/api/boards\"");
    std::fs::write(&new, &edited).expect("a writable folder");

    let diff = up.verb(&["routes", "diff", "new.toml"]).await;
    assert_eq!(diff["items"][0]["id"], "leaderboard", "{diff}");
    assert_eq!(diff["items"][0]["change"], "changed", "{diff}");
    up.verb(&["routes", "apply", "new.toml"]).await;
    let prefix = async || {
        let routes = up.verb(&["routes", "list"]).await;
        let items = routes["items"].as_array().expect("items").clone();
        let found = items.iter().find(|route| route["id"] == "leaderboard");
        found.expect("the route")["prefix"].clone()
    };
    assert_eq!(prefix().await, "/api/boards");

    std::fs::write(&new, edited + "\nbad = 1\n").expect("a writable folder");
    let refused = banyan(up.folder.path(), &["routes", "apply", "new.toml"]).await;
    assert_eq!(refused.status.code(), Some(64));
    assert_eq!(prefix().await, "/api/boards");
}

#[tokio::test]
async fn one_click_is_traced_from_its_trace_id_to_its_saga_and_its_events() {
    let up = Up::start().await;
    let player = Player::register(&up.gateway(), "Radia").await;
    up.move_everything().await;
    let question = &player.questions().await[0];
    let answered = player.answer(question, "k").await.expect("an answer");
    let trace = answered.headers()["x-trace-id"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    let answer: Value = expect(answered, reqwest::StatusCode::OK).await;

    // The client is answered when the end is committed; its event is in the log a moment later.
    let events = testkit::eventually(PATIENCE, || async {
        let events = up.verb(&["events", "trace", &trace]).await;
        let items = events["items"].as_array().expect("items");
        let types: Vec<_> = items.iter().map(|event| event["type"].clone()).collect();
        for wanted in [
            "answer.submitted",
            "achievement.checked",
            "leaderboard.entry.updated",
            "answer_submission.completed",
        ] {
            anyhow::ensure!(types.iter().any(|found| found == wanted), "{types:?}");
        }
        anyhow::Ok(Some(events))
    })
    .await;
    let position = events["items"][0]["position"].to_string();
    let first = up.verb(&["events", "show", &position]).await;
    assert_eq!(first["id"], events["items"][0]["id"]);

    let id = answer["id"].as_str().expect("an id");
    let sagas = up.verb(&["sagas", "list", "--state", "completed"]).await;
    assert_eq!(sagas["items"][0]["id"], id, "{sagas}");
    let found = up.verb(&["sagas", "list", "--correlation", &trace]).await;
    assert_eq!(found["items"][0]["id"], id, "{found}");
    let waiting = ["sagas", "list", "--step", "leaderboard"];
    assert_eq!(up.verb(&waiting).await["items"], serde_json::json!([]));
    the_saga_is_shown_and_drawn(&up, id).await;
}

async fn the_saga_is_shown_and_drawn(up: &Up, id: &str) {
    let shown = up.verb(&["sagas", "show", id]).await;
    assert_eq!(shown["state"], "completed");
    assert_eq!(shown["events"][0]["type"], "answer.submitted", "{shown}");
    let folder = up.folder.path();
    let printed = async |arguments: &[&str]| {
        let output = banyan(folder, arguments).await;
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let text = printed(&["sagas", "show", id]).await;
    let told = ["start; record done", "answer.submitted", "leaderboard done"];
    for part in told.into_iter().chain(["achievements done", "completed"]) {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let mermaid = printed(&["sagas", "show", id, "--mermaid"]).await;
    assert!(mermaid.contains("s0 --> s1 & s2"), "{mermaid}");
    printed(&["sagas", "show", id, "--svg", "way.svg"]).await;
    let svg = std::fs::read_to_string(folder.join("way.svg")).expect("a picture");
    assert_eq!(svg.matches("data-mark=\"done\"").count(), 3, "{svg}");

    let stale = ["--if-version", "1", "--reason", "an old look"];
    let refused = banyan(folder, &[&["sagas", "compensate", id], &stale[..]].concat()).await;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(
        told.contains("version_conflict") && told.contains("nothing was done"),
        "{told}"
    );
}

#[tokio::test]
async fn a_flag_is_restored_and_a_timeouts_meaning_changed_and_both_are_shown() {
    let up = Up::start().await;
    up.verb(&[
        "flags",
        "set",
        "quiz-cutover",
        "--percent",
        "25.5",
        "--reason",
        "a",
    ])
    .await;
    let restored = up
        .verb(&["flags", "restore", "quiz-cutover", "1", "--reason", "b"])
        .await;
    assert_eq!(
        (&restored["percent"], &restored["version"]),
        (&0.0.into(), &3.into())
    );

    let step = [
        "sagas",
        "policy",
        "answer-submission",
        "--step",
        "leaderboard",
    ];
    let change = ["--on-timeout", "proceed", "--reason", "test"];
    up.verb(&[&step[..], &change[..]].concat()).await;
    let policies = up.verb(&["sagas", "policy"]).await;
    let shown = policies["items"]
        .as_array()
        .expect("items")
        .iter()
        .find(|policy| policy["step"] == "leaderboard")
        .expect("the step");
    assert_eq!(shown["onTimeout"], "proceed");
}

#[tokio::test]
async fn a_person_is_erased_from_all_events_and_from_the_boards() {
    const NAME: &str = "Grace Brewster";
    let up = Up::start().await;
    let player = Player::register(&up.gateway(), NAME).await;
    up.move_everything().await;
    let question = &player.questions().await[0];
    let answered = player.answer(question, "k").await.expect("an answer");
    let trace = answered.headers()["x-trace-id"].to_str().expect("ASCII");
    let trace = trace.to_owned();
    let _: Value = expect(answered, reqwest::StatusCode::OK).await;
    let events = up.verb(&["events", "trace", &trace]).await;
    let items = events["items"].as_array().expect("items");
    let submitted = items
        .iter()
        .find(|event| event["type"] == "answer.submitted");
    let id = submitted.expect("the answer")["id"]
        .as_str()
        .expect("an id");
    let name = async || up.verb(&["events", "show", id]).await["payload"]["displayName"].clone();
    assert_eq!(name().await, NAME);
    let shown = async || {
        let url = format!("{}/api/leaderboard?quizMode=classic", up.gateway());
        let board = reqwest::get(url).await.expect("an answer");
        let board: Value = board.json().await.expect("JSON");
        board["top"][0]["displayName"].clone()
    };
    assert_eq!(shown().await, NAME);

    let subject = player.id().to_string();
    let known = up.verb(&["personal", "show", &subject]).await;
    assert_eq!(known["hasKey"], true, "{known}");
    let erase = ["personal", "erase", &subject, "--reason", "asked for"];
    assert_eq!(up.verb(&erase).await["hadKey"], true);
    assert_eq!(up.verb(&erase).await["hadKey"], false, "once is enough");
    assert_eq!(name().await, serde_json::json!({ "erased": true }));
    testkit::eventually(PATIENCE, || async { shown().await == "" }).await;
    assert_eq!(up.verb(&["personal", "rotate"]).await["rotated"], 0);
    for file in ["log.db", "log.db-wal"] {
        let path = up.folder.path().join(".banyan").join(file);
        let bytes = std::fs::read(path).unwrap_or_default();
        let is_there = |text: &str| bytes.windows(text.len()).any(|at| at == text.as_bytes());
        assert!(!is_there(NAME), "{file}");
    }
    let made = up.verb(&["personal", "new-key", "--name", "second"]).await;
    assert!(
        made["key"]
            .as_str()
            .is_some_and(|key| key.starts_with("second:")),
        "{made}"
    );
}
