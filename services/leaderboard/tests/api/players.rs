//! Badges' bonus, new names, new beginnings, departures.

use std::collections::BTreeMap;

use contracts::{
    QuizMode,
    events::{PersonalErased, UserDeleted, UserStatsReset, UserUpdated},
};
use leaderboard::config::Bonus;
use serde_json::{Value, json};
use testkit::Backend;

use crate::app::{App, lines, user};

testkit::both_databases!(
    a_badge_adds_its_bonus_once_to_the_boards_of_its_answer,
    a_bonus_stays_when_a_later_answer_is_taken_back,
    whoever_begins_anew_stands_on_no_board_and_counts_from_zero,
    whoever_left_is_gone_from_all_boards_and_does_not_come_back,
    a_new_name_is_shown_on_all_boards,
    who_is_erased_keeps_the_scores_and_loses_the_name,
);

const BOARD: &str = "/api/leaderboard?quizMode=classic";

fn bonus() -> Bonus {
    Bonus {
        default: 0,
        badges: BTreeMap::from([("first-answer".to_owned(), 50)]),
    }
}

async fn top(app: &App, period: &str) -> Vec<(i64, u128, i64)> {
    let board = app.ok(&format!("{BOARD}&period={period}"), None).await;
    lines(&board["top"])
}

async fn reset(app: &App, number: u128) {
    let reset = UserStatsReset {
        user_id: user(number),
        reason: "a test".to_owned(),
    };
    app.publish(&reset, user(number), None).await;
}

async fn a_badge_adds_its_bonus_once_to_the_boards_of_its_answer(home: Backend) {
    let app = App::start_with(home, bonus(), 1).await;
    let given = app.answer(1, QuizMode::Classic, 10).await;
    app.answer(2, QuizMode::Classic, 30).await;
    app.complete(given).await;
    for _ in 0..2 {
        app.unlock(given, "first-answer").await;
    }
    app.unlock(given, "another-badge").await;
    app.settled().await;
    for period in ["all", "day", "week"] {
        assert_eq!(top(&app, period).await, [(1, 1, 60), (2, 2, 30)]);
    }
    let timed = app.ok("/api/leaderboard?quizMode=timed", None).await;
    assert_eq!(timed["top"], json!([]));
    // The books of answers know nothing of it.
    let entries = app.audit("entries").await;
    let scores: Vec<&Value> = entries.iter().map(|entry| &entry["score"]).collect();
    assert_eq!(scores, [10, 30]);
    assert_eq!(app.rebuild().await["wrongNodes"], 0);
}

async fn a_bonus_stays_when_a_later_answer_is_taken_back(home: Backend) {
    let app = App::start_with(home, bonus(), 1).await;
    let first = app.answer(1, QuizMode::Classic, 10).await;
    app.complete(first).await;
    let second = app.answer(1, QuizMode::Classic, 20).await;
    app.unlock(first, "first-answer").await;
    app.revoke(second).await;
    app.settled().await;
    assert_eq!(top(&app, "all").await, [(1, 1, 60)]);
    assert_eq!(app.audit("entries").await[0]["score"], 10);
}

async fn whoever_begins_anew_stands_on_no_board_and_counts_from_zero(home: Backend) {
    let app = App::start_with(home, bonus(), 1).await;
    let first = app.answer(1, QuizMode::Classic, 40).await;
    app.complete(first).await;
    app.answer(2, QuizMode::Classic, 10).await;
    let undecided = app.answer(1, QuizMode::Classic, 20).await;
    reset(&app, 1).await;
    app.settled().await;
    for period in ["all", "day", "week"] {
        assert_eq!(top(&app, period).await, [(1, 2, 10)], "{period}");
    }
    app.answer(1, QuizMode::Classic, 5).await;
    // What belongs to the time before changes nothing any more.
    app.revoke(undecided).await;
    app.unlock(first, "first-answer").await;
    app.settled().await;
    for period in ["all", "day", "week"] {
        assert_eq!(top(&app, period).await, [(1, 2, 10), (2, 1, 5)], "{period}");
    }
    let entries = app.audit("entries").await;
    let scores: Vec<&Value> = entries.iter().map(|entry| &entry["score"]).collect();
    assert_eq!(scores, [5, 10]);
    assert_eq!(app.rebuild().await["wrongNodes"], 0);
}

async fn whoever_left_is_gone_from_all_boards_and_does_not_come_back(home: Backend) {
    let app = App::start_with(home, bonus(), 1).await;
    let first = app.answer(1, QuizMode::Classic, 40).await;
    app.complete(first).await;
    let undecided = app.answer(1, QuizMode::Timed, 20).await;
    app.answer(2, QuizMode::Classic, 10).await;
    let deleted = UserDeleted { user_id: user(1) };
    app.publish(&deleted, user(1), None).await;
    app.revoke(undecided).await;
    app.unlock(first, "first-answer").await;
    app.answer(1, QuizMode::Classic, 90).await;
    reset(&app, 1).await;
    app.settled().await;
    for period in ["all", "day", "week"] {
        assert_eq!(top(&app, period).await, [(1, 2, 10)], "{period}");
    }
    let token = app.token(1);
    let path = "/api/leaderboard/around?quizMode=classic";
    let (status, body) = app.get(path, Some(&token)).await;
    assert_eq!((status, &body["code"]), (401, &json!("account_deleted")));
    // Nothing names the player any more, except the note that the account is gone.
    let db = app.database().await;
    for sql in [
        "SELECT COUNT(*) FROM standings WHERE user_id = $1",
        "SELECT COUNT(*) FROM players WHERE user_id = $1",
        "SELECT COUNT(*) FROM bonuses WHERE user_id = $1",
    ] {
        let values = database::params![user(1)];
        let (rows,): (i64,) = db.fetch_one(sql, values).await.expect("counted");
        assert_eq!(rows, 0, "{sql}");
    }
    let kept = app.audit("answers").await;
    assert!(!kept.iter().any(|row| row["userId"] == json!(user(1))));
    assert_eq!(app.rebuild().await["wrongNodes"], 0);
}

async fn a_new_name_is_shown_on_all_boards(home: Backend) {
    let app = App::start(home).await;
    app.answer(1, QuizMode::Classic, 10).await;
    let name = "<b>Ada</b> \u{1f600}";
    let updated = UserUpdated {
        user_id: user(1),
        display_name: name.into(),
        roles: vec!["user".to_owned()],
    };
    app.publish(&updated, user(1), None).await;
    // The token that comes with this answer is older than the name.
    app.answer(1, QuizMode::Classic, 10).await;
    app.settled().await;
    for period in ["all", "day", "week"] {
        let board = app.ok(&format!("{BOARD}&period={period}"), None).await;
        assert_eq!(board["top"][0]["displayName"], name);
        assert_eq!(board["top"][0]["score"], 20);
    }
}

async fn who_is_erased_keeps_the_scores_and_loses_the_name(home: Backend) {
    let app = App::start(home).await;
    app.answer(1, QuizMode::Classic, 10).await;
    app.answer(2, QuizMode::Classic, 5).await;
    app.settled().await;
    let board = app.ok(BOARD, None).await;
    assert_ne!(board["top"][0]["displayName"], "");
    let erased = PersonalErased {
        subject: user(1).to_string(),
        actor: "test".to_owned(),
        reason: "asked for".to_owned(),
    };
    app.publish(&erased, user(1), None).await;
    app.settled().await;
    let board = app.ok(BOARD, None).await;
    assert_eq!(lines(&board["top"]), [(1, 1, 10), (2, 2, 5)]);
    assert_eq!(board["top"][0]["displayName"], "");
    assert_ne!(board["top"][1]["displayName"], "");
}
