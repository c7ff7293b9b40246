//! What an answer does to the boards of all time, its day and its week.

use contracts::{Period, QuizMode};
use leaderboard::domain::Board;
use serde_json::json;
use testkit::Backend;
use time::{Duration, OffsetDateTime};

use crate::app::{App, lines};

testkit::both_databases!(
    an_answer_counts_on_three_boards_and_its_revocation_takes_it_off_them,
    an_answer_counts_on_the_day_on_which_it_was_submitted,
    a_wrong_answer_opens_a_line_and_changes_no_place,
    bad_queries_name_their_field,
);

const BOARD: &str = "/api/leaderboard?quizMode=classic";

async fn an_answer_counts_on_three_boards_and_its_revocation_takes_it_off_them(home: Backend) {
    let app = App::start(home).await;
    app.answer(1, QuizMode::Classic, 10).await;
    app.answer(2, QuizMode::Classic, 30).await;
    app.answer(3, QuizMode::Timed, 50).await;
    let second = app.answer(1, QuizMode::Classic, 25).await;
    app.settled().await;
    for period in ["", "&period=all", "&period=day", "&period=week"] {
        let token = app.token(2);
        let board = app.ok(&format!("{BOARD}{period}"), Some(&token)).await;
        assert_eq!(lines(&board["top"]), [(1, 1, 35), (2, 2, 30)], "{period}");
        assert_eq!(board["me"]["position"], 2);
        assert_eq!(board["top"][0]["displayName"], "player 1");
    }
    app.revoke(second).await;
    app.settled().await;
    for period in ["all", "day", "week"] {
        let board = app.ok(&format!("{BOARD}&period={period}"), None).await;
        assert_eq!(lines(&board["top"]), [(1, 2, 30), (2, 1, 10)], "{period}");
        assert_eq!(board["period"], period);
        assert_eq!(board["me"], json!(null));
    }
    assert_eq!(app.rebuild().await["wrongNodes"], 0);
}

async fn an_answer_counts_on_the_day_on_which_it_was_submitted(home: Backend) {
    let app = App::start(home).await;
    let now = OffsetDateTime::now_utc();
    let last_week = now - Duration::days(7);
    let old = app.answer_at(1, QuizMode::Classic, 90, last_week).await;
    app.answer(2, QuizMode::Classic, 10).await;
    app.settled().await;
    let all = app.ok(BOARD, None).await;
    assert_eq!(lines(&all["top"]), [(1, 1, 90), (2, 2, 10)]);
    for period in ["day", "week"] {
        let board = app.ok(&format!("{BOARD}&period={period}"), None).await;
        assert_eq!(lines(&board["top"]), [(1, 2, 10)], "{period}");
    }
    let db = app.database().await;
    let was = Board::at(QuizMode::Classic, Period::Day, last_week);
    let top = leaderboard::store::boards::top(&db, was)
        .await
        .expect("read");
    assert_eq!((top.len(), top[0].score), (1, 90));
    app.revoke(old).await;
    app.settled().await;
    let top = leaderboard::store::boards::top(&db, was)
        .await
        .expect("read");
    assert!(top.is_empty());
}

async fn a_wrong_answer_opens_a_line_and_changes_no_place(home: Backend) {
    let app = App::start(home).await;
    app.answer(1, QuizMode::Classic, 0).await;
    app.answer(2, QuizMode::Classic, 10).await;
    app.answer(3, QuizMode::Classic, 10).await;
    app.answer(2, QuizMode::Classic, 0).await;
    app.settled().await;
    let board = app.ok(BOARD, None).await;
    assert_eq!(lines(&board["top"]), [(1, 2, 10), (2, 3, 10), (3, 1, 0)]);
}

async fn bad_queries_name_their_field(home: Backend) {
    let app = App::start(home).await;
    let token = app.token(1);
    for path in ["", "/entries", "/around", "/stream"] {
        for (query, field) in [
            ("", "quizMode"),
            ("?quizMode=", "quizMode"),
            ("?quizMode=turbo", "quizMode"),
            ("?quizMode=classic&period=", "period"),
            ("?quizMode=classic&period=month", "period"),
            ("?quizMode=classic&period=all%00", "period"),
        ] {
            let path = format!("/api/leaderboard{path}{query}");
            let (status, body) = app.get(&path, Some(&token)).await;
            assert_eq!(status, 400, "{path}");
            assert_eq!(body["code"], "invalid_query", "{path}");
            assert_eq!(body["field"], field, "{path}");
        }
    }
    for (query, code, field) in [
        ("limit=0", "invalid_query", "limit"),
        ("limit=101", "invalid_query", "limit"),
        ("limit=-1", "invalid_query", "limit"),
        ("limit=ten", "invalid_query", "limit"),
        ("cursor=", "bad_cursor", "cursor"),
        ("cursor=nonsense", "bad_cursor", "cursor"),
    ] {
        let path = format!("/api/leaderboard/entries?quizMode=classic&{query}");
        let (status, body) = app.get(&path, None).await;
        let told = (status, &body["code"], &body["field"]);
        assert_eq!(told, (400, &json!(code), &json!(field)), "{query}");
    }
    let (status, body) = app
        .get("/api/leaderboard/around?quizMode=classic", None)
        .await;
    assert_eq!((status, &body["code"]), (401, &json!("unauthenticated")));
    let (status, _) = app.get(BOARD, Some("nonsense")).await;
    assert_eq!(status, 401);
}
