//! What Node-Learn is for, from the login to the curator's edit that the player sees; and the ends
//! of a user's life: a guest who becomes a user, a user who leaves.

use std::path::Path;

use contracts::http::{CuratedQuestion, Question};
use database::{Database, Options, params};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::{
    PATIENCE,
    embedded::Up,
    player::{Player, expect},
};

/// Where a deleted user's id may stand: the notes that keep the user from coming back, and the
/// events on their way to the log, which carries ids for ever.
const REMEMBERED_IN: [&str; 5] = [
    "departed_users",
    "deleted_accounts",
    "outbox",
    "stream_versions",
    "parked_events",
];

/// Everything on the new side.
async fn moved() -> Up {
    let up = Up::start().await;
    up.move_everything().await;
    for flag in ["curation-reads", "curation-writes", "maintenance-cutover"] {
        let set = ["flags", "set", flag, "--percent", "100", "--reason", "test"];
        up.verb(&set).await;
    }
    up
}

#[tokio::test]
async fn a_player_logs_in_answers_earns_climbs_and_sees_the_curators_edit() {
    let up = moved().await;
    let mut player = Player::register(&up.gateway(), "Grace").await;
    player.login().await;
    let question = player.get("/api/questions/random").await;
    let question: Question = serde_json::from_value(question).expect("a question");
    let curator = Player::curator(&up.gateway(), &up.administrators_password()).await;
    let path = format!("/api/admin/questions/{}", question.id);
    let curated: CuratedQuestion =
        serde_json::from_value(curator.get(&path).await).expect("a curated question");

    // The first right answer earns a badge and a place.
    let body = json!({
        "questionId": question.id, "choiceId": curated.correct_choice_id, "quizMode": "classic",
    });
    let answer = player.call(Method::POST, "/api/answers", Some(&body)).await;
    let answer: Value = expect(answer, StatusCode::OK).await;
    assert_eq!(answer["isCorrect"], true, "{answer}");
    let earned = answer["achievements"].as_array().expect("a list");
    assert!(!earned.is_empty(), "{answer}");
    let board = player
        .get("/api/leaderboard?quizMode=classic&period=day")
        .await;
    assert_eq!(board["me"]["position"], 1, "{board}");
    eventually(PATIENCE, || async {
        let mine = player.get("/api/achievements/me").await;
        mine["items"]
            .as_array()
            .is_some_and(|held| held.len() >= earned.len())
    })
    .await;

    // Who edits gets the answer when players see the edit, so nobody has to wait here.
    let text = "Was this question edited by its curator?";
    let edit = json!({
        "text": text, "category": curated.category, "difficulty": curated.difficulty,
        "choices": curated.choices, "correctChoiceId": curated.correct_choice_id,
        "version": curated.version,
    });
    let edited = curator.call(Method::PUT, &path, Some(&edit)).await;
    let edited: CuratedQuestion = expect(edited, StatusCode::OK).await;
    assert_eq!(edited.version, curated.version + 1);
    let seen = player.get(&format!("/api/questions/{}", question.id)).await;
    assert_eq!(seen["text"], text);
    up.verb(&["audit"]).await;
}

#[tokio::test]
async fn curators_read_on_the_new_side_while_they_write_on_the_monolith() {
    let up = Up::start().await;
    up.move_everything().await;
    let set = [
        "flags",
        "set",
        "curation-reads",
        "--percent",
        "100",
        "--reason",
        "test",
    ];
    up.verb(&set).await;
    let curator = Player::curator(&up.gateway(), &up.administrators_password()).await;
    let write = json!({
        "text": "Where was this question written?", "category": "sides", "difficulty": "easy",
        "choices": [
            { "id": "a", "text": "On the monolith" }, { "id": "b", "text": "On the new side" },
            { "id": "c", "text": "On both" }, { "id": "d", "text": "On neither" },
        ],
        "correctChoiceId": "a",
    });
    let made = curator
        .call(Method::POST, "/api/admin/questions", Some(&write))
        .await;
    assert_eq!(made.headers()["x-banyan-upstream"], "legacy");
    let made: CuratedQuestion = expect(made, StatusCode::CREATED).await;
    // The curator's read and the players' follow by themselves.
    for path in ["/api/admin/questions", "/api/questions"] {
        eventually(PATIENCE, || async {
            let found = curator
                .call(Method::GET, &format!("{path}/{}", made.id), None)
                .await;
            let side = found.headers()["x-banyan-upstream"].clone();
            anyhow::ensure!(side != "legacy", "{path} is still served by legacy");
            anyhow::ensure!(
                found.status() == StatusCode::OK,
                "{path}: {}",
                found.status()
            );
            anyhow::Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_guest_who_becomes_a_user_keeps_everything() {
    let up = moved().await;
    let mut player = Player::guest(&up.gateway()).await;
    let id = player.id();
    let questions = player.questions().await;
    for (number, question) in questions.iter().take(3).enumerate() {
        let answer = player.answer(question, &format!("guest {number}")).await;
        let _: Value = expect(answer.expect("an answer"), StatusCode::OK).await;
    }
    let before = everything_of(&player).await;
    player.upgrade("Margaret").await;
    assert_eq!(player.id(), id);
    let name = eventually(PATIENCE, || async {
        let board = player.get("/api/leaderboard?quizMode=classic").await;
        let name = board["me"]["displayName"].as_str().map(ToOwned::to_owned);
        name.filter(|name| name == "Margaret")
    })
    .await;
    assert_eq!(name, "Margaret");
    assert_eq!(everything_of(&player).await, before);
    // The next answer counts on top, and a login with the new password is the same user.
    player.login().await;
    assert_eq!(player.id(), id);
    let answer = player.answer(&questions[3], "as a user").await;
    let _: Value = expect(answer.expect("an answer"), StatusCode::OK).await;
    assert_eq!(player.get("/api/stats/me").await["answered"], 4);
    up.verb(&["audit"]).await;
}

#[tokio::test]
async fn every_service_answers_a_maintenance_run() {
    let up = moved().await;
    let curator = Player::curator(&up.gateway(), &up.administrators_password()).await;
    for job in [
        "health",
        "expired-tokens",
        "guest-cleanup",
        "retention",
        "log-archive",
        "log-snapshot",
    ] {
        let path = format!("/api/admin/maintenance/{job}");
        let run = curator
            .call(Method::POST, &path, Some(&json!({ "reason": "test" })))
            .await;
        let run: Value = expect(run, StatusCode::OK).await;
        assert_eq!(run["status"], "completed", "{run}");
        // Each of them twice: what is done once is not in the way of the next time.
        let again = curator
            .call(Method::POST, &path, Some(&json!({ "reason": "test" })))
            .await;
        let again: Value = expect(again, StatusCode::OK).await;
        assert_eq!(again["status"], "completed", "{again}");
    }
    up.verb(&["doctor"]).await;
    up.verb(&["audit"]).await;
}

/// What a player has reached, without the name.
async fn everything_of(player: &Player) -> Value {
    let stats = player.get("/api/stats/me").await;
    let badges = player.get("/api/achievements/me").await;
    let board = player.get("/api/leaderboard?quizMode=classic").await;
    let (place, score) = (&board["me"]["position"], &board["me"]["score"]);
    json!({ "stats": stats, "badges": badges, "place": place, "score": score })
}

#[tokio::test]
async fn a_deleted_user_is_gone_everywhere_within_seconds() {
    let up = moved().await;
    let leaving = Player::register(&up.gateway(), "Somebody who leaves").await;
    let staying = Player::register(&up.gateway(), "Somebody who stays").await;
    for player in [&leaving, &staying] {
        for (number, question) in player.questions().await.iter().take(2).enumerate() {
            let answer = player.answer(question, &format!("answer {number}")).await;
            let _: Value = expect(answer.expect("an answer"), StatusCode::OK).await;
        }
    }
    leaving.delete_account().await;
    let folder = up.folder.path().join(".banyan");
    let services = [
        "auth",
        "question",
        "quiz",
        "achievement",
        "leaderboard",
        "admin",
        "maintenance",
    ];
    eventually(PATIENCE / 4, || async {
        for service in services {
            let file = folder.join(format!("{service}.db"));
            let traces = traces(&file, leaving.id(), "Somebody who leaves").await?;
            anyhow::ensure!(traces.is_empty(), "{service}: {}", traces.join(", "));
        }
        anyhow::Ok(())
    })
    .await;
    // The token is still good by itself; nobody takes it any more.
    let question = &staying.questions().await[2];
    let late = leaving
        .answer(question, "too late")
        .await
        .expect("an answer");
    let problem: Value = expect(late, StatusCode::UNAUTHORIZED).await;
    assert_eq!(problem["code"], "account_deleted");
    let board = staying.get("/api/leaderboard?quizMode=classic").await;
    assert_eq!(board["top"].as_array().map(Vec::len), Some(1), "{board}");
    assert_eq!(staying.get("/api/stats/me").await["answered"], 2);
    up.verb(&["audit"]).await;
}

/// Where an SQLite file still names the user: `table.column`.
async fn traces(file: &Path, user: Uuid, name: &str) -> anyhow::Result<Vec<String>> {
    let options = Options {
        max_connections: 1,
        ..Options::default()
    };
    let db = Database::connect(&format!("sqlite:{}", file.display()), options).await?;
    let columns: Vec<(String, String)> = db
        .fetch_all(
            "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'",
            params![],
        )
        .await?;
    let mut found = Vec::new();
    for (table, column) in columns {
        if REMEMBERED_IN
            .iter()
            .any(|allowed| table.starts_with(allowed))
        {
            continue;
        }
        let sql = format!(
            "SELECT COUNT(*) FROM \"{table}\" WHERE \"{column}\" = $1
             OR instr(CAST(\"{column}\" AS TEXT), $2) > 0 OR instr(CAST(\"{column}\" AS TEXT), $3) > 0"
        );
        let values = params![user, user.to_string(), name];
        // Statements live as long as the program; a test has few.
        let sql: &'static str = sql.leak();
        let (count,): (i64,) = db.fetch_one(sql, values).await?;
        if count > 0 {
            found.push(format!("{table}.{column}"));
        }
    }
    db.close().await;
    Ok(found)
}
