//! What the monolith shows an auditor.

use serde_json::{Value, json};
use testkit::Backend;

use crate::app::{Legacy, bank, choice};

testkit::both_databases!(an_auditor_reads_everything_that_was_counted_page_by_page);

async fn an_auditor_reads_everything_that_was_counted_page_by_page(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let bank = bank();
    for name in ["ada", "eve"] {
        let token = legacy.player(name).await;
        for (number, mode) in ["classic", "timed", "classic"].into_iter().enumerate() {
            legacy
                .http
                .answer(&token, None, choice(&bank[number], mode, true))
                .await;
        }
    }
    let answers = all(&legacy, "answers").await;
    assert_eq!(answers.len(), 6);
    assert!(answers.iter().all(|answer| answer["status"] == "completed"));
    let points = |rows: &[Value], field: &str| -> i64 {
        rows.iter().filter_map(|row| row[field].as_i64()).sum()
    };
    let stats = all(&legacy, "stats").await;
    let entries = all(&legacy, "entries").await;
    assert_eq!(
        (stats.len(), entries.len()),
        (4, 4),
        "two players in two modes"
    );
    assert_eq!(points(&stats, "score"), points(&answers, "points"));
    assert_eq!(points(&entries, "score"), points(&answers, "points"));
    assert_eq!(points(&stats, "answered"), 6);
    let players = all(&legacy, "players").await;
    assert_eq!(players.len(), 2);
    for player in &players {
        assert_eq!(player["answered"], 3);
        let badges = player["badges"].as_array().expect("a list");
        assert!(badges.contains(&json!("first-answer")), "{player}");
    }
    let wrong = legacy.http.get("/ops/audit/answers?after=x", None).await;
    assert_eq!(wrong.problem(), (400, "invalid_query", "after"));
    let wrong = legacy.http.get("/ops/audit/answers?limit=0", None).await;
    assert_eq!(wrong.problem(), (400, "invalid_query", "limit"));
}

/// All items of a list, one at a time.
async fn all(legacy: &Legacy, list: &str) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let page = legacy
            .http
            .get(&format!("/ops/audit/{list}?limit=1{after}"), None)
            .await;
        assert_eq!(page.status, 200, "{page:?}");
        items.extend(
            page.body["items"]
                .as_array()
                .expect("items")
                .iter()
                .cloned(),
        );
        match page.body["nextCursor"].as_str() {
            Some(cursor) => after = format!("&after={cursor}"),
            None => return items,
        }
    }
}
