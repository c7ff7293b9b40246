//! What old boards come to, and what the service says of itself.

use contracts::QuizMode;
use leaderboard::retention;
use testkit::Backend;
use time::{Duration, OffsetDateTime};

use crate::app::App;

testkit::both_databases!(
    old_boards_go_in_bounded_portions_and_young_ones_stay,
    every_path_is_documented,
);

async fn old_boards_go_in_bounded_portions_and_young_ones_stay(home: Backend) {
    let app = App::start(home).await;
    let now = OffsetDateTime::now_utc();
    for (number, days) in [(1, 200), (2, 200), (3, 200), (4, 60), (5, 1), (6, 0)] {
        let at = now - Duration::days(days);
        app.answer_at(number, QuizMode::Classic, 10, at).await;
    }
    app.settled().await;
    let db = app.database().await;
    let count = "SELECT COUNT(*) FROM standings";
    let lines = async || {
        let (count,): (i64,) = db
            .fetch_one(count, database::params![])
            .await
            .expect("counted");
        count
    };
    assert_eq!(lines().await, 18);
    for (removed, left) in [(2, 16), (2, 14), (2, 12), (1, 11), (0, 11)] {
        let mut tx = db.begin().await.expect("a transaction");
        let told = retention::remove_old(&mut tx, now, 2).await;
        assert_eq!(told.expect("removed"), removed);
        tx.commit().await.expect("committed");
        assert_eq!(lines().await, left);
    }
    assert_eq!(app.rebuild().await["wrongNodes"], 0);
    let all = app
        .ok("/api/leaderboard/entries?quizMode=classic", None)
        .await;
    assert_eq!(all["items"].as_array().expect("items").len(), 6);
}

async fn every_path_is_documented(home: Backend) {
    let app = App::start(home).await;
    let document = app.ok("/openapi.json", None).await;
    for path in ["", "/entries", "/around", "/stream"] {
        let path = format!("/api/leaderboard{path}");
        assert!(document["paths"][&path]["get"].is_object(), "{path}");
    }
    let stream = &document["paths"]["/api/leaderboard/stream"]["get"];
    assert!(stream["responses"]["200"]["content"]["text/event-stream"].is_object());
    assert!(stream["responses"]["503"]["headers"]["Retry-After"].is_object());
}
