//! Boards of all time, of the day and of the week: pages, neighbourhoods, live.

use std::time::Duration;

use database::{Options, Timestamp, params};
use serde_json::{Value, json};
use testkit::Backend;
use tokio::time::timeout;

use crate::app::{Legacy, PATIENCE, bank, choice};

testkit::both_databases!(
    what_was_answered_last_week_counts_for_all_time_only,
    pages_and_neighbourhoods_have_the_right_places,
    a_board_is_shown_as_it_changes,
    bad_queries_name_their_field,
);

const PLAYERS: usize = 13;

/// Players 1 to 13; the later ones answered rightly more often, up to four times.
async fn played(backend: Backend) -> (Legacy, Vec<String>) {
    let legacy = Legacy::start(backend).await;
    let bank = bank();
    let easy = bank.iter().filter(|q| q.difficulty.as_str() == "easy");
    let easy: Vec<_> = easy.take(4).collect();
    let mut tokens = Vec::new();
    for number in 1..=PLAYERS {
        let token = legacy.player(&format!("player{number}")).await;
        for (round, question) in easy.iter().enumerate() {
            let body = choice(question, "classic", round < number / 4 + 1);
            assert_eq!(legacy.http.answer(&token, None, body).await.status, 200);
        }
        tokens.push(token);
    }
    (legacy, tokens)
}

async fn ok(legacy: &Legacy, path: &str, token: Option<&str>) -> Value {
    let reply = legacy.http.get(path, token).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.body
}

fn places(list: &Value) -> Vec<(i64, String)> {
    let line = |line: &Value| {
        let place = line["position"].as_i64().expect("a number");
        (
            place,
            line["displayName"].as_str().expect("text").to_owned(),
        )
    };
    list.as_array().expect("a list").iter().map(line).collect()
}

async fn what_was_answered_last_week_counts_for_all_time_only(backend: Backend) {
    let (legacy, tokens) = played(backend).await;
    let board = async |period: &str| {
        let path = format!("/api/leaderboard?quizMode=classic&period={period}");
        ok(&legacy, &path, Some(&tokens[0])).await
    };
    let all = board("all").await;
    for period in ["day", "week"] {
        let now = board(period).await;
        assert_eq!(now["period"], period);
        assert_eq!(now["top"], all["top"], "all was answered just now");
        assert_eq!(now["me"], all["me"]);
    }
    let db = legacy.backend.open(Options::default()).await;
    let last_week = Timestamp::system() - Duration::from_secs(7 * 24 * 60 * 60);
    db.execute("UPDATE answers SET answered_at = $1", params![last_week])
        .await
        .expect("moved back");
    for period in ["day", "week"] {
        let now = board(period).await;
        assert_eq!((&now["top"], &now["me"]), (&json!([]), &json!(null)));
    }
    assert_eq!(board("all").await, all);
}

async fn pages_and_neighbourhoods_have_the_right_places(backend: Backend) {
    let (legacy, tokens) = played(backend).await;
    // Players 12 and 13 have four right answers, 8 to 11 three, 4 to 7 two, 1 to 3 one; of equals
    // the earlier one stands above.
    let expected: Vec<(i64, String)> = [12, 13, 8, 9, 10, 11, 4, 5, 6, 7, 1, 2, 3]
        .into_iter()
        .zip(1..)
        .map(|(number, place)| (place, format!("player{number}")))
        .collect();
    for period in ["all", "day", "week"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let list = format!("quizMode=classic&period={period}&limit=5{cursor}");
            let path = format!("/api/leaderboard/entries?{list}");
            let page = ok(&legacy, &path, None).await;
            seen.extend(places(&page["items"]));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, expected, "{period}");
        let path = format!("/api/leaderboard/around?quizMode=classic&period={period}");
        // Player 4 stands on place 7, player 3 on the last one.
        for (number, first, last) in [(4, 2, 12), (3, 8, 13), (12, 1, 6)] {
            let around = ok(&legacy, &path, Some(&tokens[number - 1])).await;
            assert_eq!(
                places(&around["items"]),
                expected[first - 1..last],
                "{number}"
            );
            assert_eq!(around["me"]["displayName"], format!("player{number}"));
        }
        let stranger = legacy.player(&format!("stranger-{period}")).await;
        let around = ok(&legacy, &path, Some(&stranger)).await;
        assert_eq!(
            (&around["items"], &around["me"]),
            (&json!([]), &json!(null))
        );
    }
}

/// The data of the next event.
async fn next(response: &mut reqwest::Response, text: &mut String) -> Value {
    loop {
        while let Some((event, rest)) = text.split_once("\n\n") {
            let data = event.lines().find_map(|line| line.strip_prefix("data:"));
            let data = data.map(|data| serde_json::from_str(data).expect("JSON"));
            *text = rest.to_owned();
            if let Some(data) = data {
                return data;
            }
        }
        let more = timeout(PATIENCE, response.chunk()).await.expect("in time");
        let more = more.expect("readable").expect("no end");
        text.push_str(std::str::from_utf8(&more).expect("text"));
    }
}

async fn a_board_is_shown_as_it_changes(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let token = legacy.player("ada").await;
    let path = "/api/leaderboard/stream?quizMode=classic&period=day";
    let mut response = legacy.http.open(path, &token).await;
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let first = next(&mut response, &mut text).await;
    assert_eq!((&first["top"], &first["me"]), (&json!([]), &json!(null)));
    let body = choice(&bank()[0], "classic", true);
    assert_eq!(legacy.http.answer(&token, None, body).await.status, 200);
    let second = next(&mut response, &mut text).await;
    assert_eq!(second["period"], "day");
    assert_eq!(second["top"][0]["displayName"], "ada");
    assert_eq!(second["me"], second["top"][0]);
    let stopped = timeout(chassis::shutdown::DRAIN / 2, legacy.http.stop());
    stopped.await.expect("the end waits for no stream");
}

async fn bad_queries_name_their_field(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let token = legacy.player("ada").await;
    for (query, code, field) in [
        ("?", "invalid_query", "quizMode"),
        ("?quizMode=chess", "invalid_query", "quizMode"),
        (
            "/around?quizMode=classic&period=month",
            "invalid_query",
            "period",
        ),
        (
            "/stream?quizMode=classic&period=",
            "invalid_query",
            "period",
        ),
        (
            "/entries?quizMode=classic&limit=0",
            "invalid_query",
            "limit",
        ),
        (
            "/entries?quizMode=classic&cursor=abc",
            "bad_cursor",
            "cursor",
        ),
    ] {
        let path = format!("/api/leaderboard{query}");
        let reply = legacy.http.get(&path, Some(&token)).await;
        assert_eq!(reply.problem(), (400, code, field), "{query}");
    }
    let path = "/api/leaderboard/around?quizMode=classic";
    assert_eq!(legacy.http.get(path, None).await.status, 401);
}
