//! Each part of the distributed form stopped, started and upgraded alone, while players play: what
//! was accepted counts, once; what was not says so.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use contracts::http::Question;
use reqwest::{Response, StatusCode, header};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    PATIENCE,
    distributed::System,
    player::{Player, expect},
};

/// Few enough that two cores keep up with every process of the system beside them.
const PLAYERS: usize = 4;
/// Accepted answers that must come in before the next part is stopped, so that there is load.
const BETWEEN: u64 = 8;

/// What the players were told, so far.
#[derive(Default)]
struct Told {
    accepted: watch::Sender<u64>,
    stopped: AtomicBool,
}

/// What one player was told: its accepted answers, and how often it was refused, by code.
#[derive(Debug, Default)]
struct Book {
    accepted: Vec<String>,
    refused: BTreeMap<String, u64>,
}

/// Plays until told to stop. A request that ends without an answer, or with one that says to try
/// again, is sent again with its key.
async fn play(player: Player, questions: Vec<Question>, told: Arc<Told>) -> (Player, Book) {
    let mut book = Book::default();
    for (number, question) in questions.iter().cycle().enumerate() {
        let mut key = format!("{number}");
        loop {
            if told.stopped.load(Ordering::Relaxed) {
                return (player, book);
            }
            let Ok(response) = player.answer(question, &key).await else {
                // The gateway is never stopped: it answers every request.
                panic!("the gateway closed a connection without an answer");
            };
            match judged(response).await {
                Verdict::Accepted(id) => {
                    book.accepted.push(id);
                    told.accepted.send_modify(|count| *count += 1);
                    break;
                }
                Verdict::Again(code) => {
                    // A compensated key keeps its answer, which says to use a new one.
                    if code == "answer_compensated" {
                        key = format!("{key}'");
                    }
                    *book.refused.entry(code).or_default() += 1;
                }
            }
        }
    }
    (player, book)
}

enum Verdict {
    Accepted(String),
    Again(String),
}

async fn judged(response: Response) -> Verdict {
    let status = response.status();
    if status == StatusCode::OK {
        let body: Value = expect(response, StatusCode::OK).await;
        return Verdict::Accepted(body["id"].as_str().expect("an id").to_owned());
    }
    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
    let text = response.text().await.expect("a whole body");
    if status == StatusCode::ACCEPTED {
        return Verdict::Again("pending".to_owned());
    }
    assert_eq!(
        kind.expect("a content type"),
        "application/problem+json",
        "{status}: {text}"
    );
    let problem: Value = serde_json::from_str(&text).expect("JSON");
    let code = problem["code"].as_str().expect("a code").to_owned();
    assert!(
        matches!(status.as_u16(), 409 | 502 | 503 | 504),
        "{status}: {text}"
    );
    Verdict::Again(code)
}

#[tokio::test]
async fn each_part_is_stopped_started_and_upgraded_alone_and_no_answer_is_lost() {
    let mut system = System::start().await;
    system.move_everything().await;
    let told = Arc::new(Told::default());
    let mut players = Vec::new();
    for number in 0..PLAYERS {
        let player = Player::register(&system.url("gateway"), &format!("Player {number}")).await;
        let questions = player.questions().await;
        players.push(tokio::spawn(play(player, questions, Arc::clone(&told))));
    }
    let mut accepted = told.accepted.subscribe();
    for part in [
        "auth",
        "question",
        "achievement",
        "leaderboard",
        "admin",
        "maintenance",
        "log",
        "legacy",
        "quiz",
        "quiz-2",
    ] {
        let before = *accepted.borrow();
        let more = accepted.wait_for(|count| *count >= before + BETWEEN);
        tokio::time::timeout(PATIENCE, more)
            .await
            .unwrap_or_else(|_| panic!("no answers before {part} was stopped"))
            .expect("the players play");
        // What a deployment does: SIGTERM, a clean end, the next version.
        system.stop(part, Duration::from_secs(30)).await;
        system.start_again(part).await;
    }
    let before = *accepted.borrow();
    let more = accepted.wait_for(|count| *count >= before + BETWEEN);
    tokio::time::timeout(PATIENCE, more)
        .await
        .expect("answers in the end")
        .expect("players");
    told.stopped.store(true, Ordering::Relaxed);

    for player in players {
        let (player, book) = player.await.expect("the player's task");
        for id in &book.accepted {
            let answer = player.get(&format!("/api/answers/{id}")).await;
            assert_eq!(answer["status"], "completed", "{answer}");
        }
        let mut distinct = book.accepted.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(
            distinct.len(),
            book.accepted.len(),
            "an answer was given twice"
        );
        let stats = player.get("/api/stats/me").await;
        assert_eq!(stats["answered"], book.accepted.len(), "{:?}", book.refused);
    }
    system.verb(&["audit"]).await;
    system.verb(&["doctor"]).await;
}
