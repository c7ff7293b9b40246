//! Pages of a board, and neighbourhoods.

use contracts::QuizMode;
use serde_json::{Value, json};
use testkit::Backend;

use crate::app::{App, lines};

testkit::both_databases!(
    pages_show_everybody_once_with_the_right_places,
    a_cursor_belongs_to_its_board,
    a_neighbourhood_has_five_above_and_five_below,
);

const PLAYERS: u128 = 23;

/// Player n has 10 n points, so that player 23 leads.
async fn filled(home: Backend) -> App {
    let app = App::start(home).await;
    for number in 1..=PLAYERS {
        let points = i64::try_from(number * 10).expect("small");
        app.answer(number, QuizMode::Survival, points).await;
    }
    app.settled().await;
    app
}

async fn page(app: &App, query: &str) -> Value {
    let path = format!("/api/leaderboard/entries?quizMode=survival&{query}");
    app.ok(&path, None).await
}

async fn pages_show_everybody_once_with_the_right_places(home: Backend) {
    let app = filled(home).await;
    for (period, limit) in [("all", 5), ("day", 7), ("week", 100)] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let query = format!("period={period}&limit={limit}{cursor}");
            let page = page(&app, &query).await;
            seen.extend(lines(&page["items"]));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let expected: Vec<_> = (1..=PLAYERS).rev().zip(1..).collect();
        let told: Vec<_> = seen
            .iter()
            .map(|(place, user, _)| (*user, *place))
            .collect();
        assert_eq!(told, expected, "{period}");
    }
    assert_eq!(lines(&page(&app, "").await["items"]).len(), 20);
    let nobody = app
        .ok("/api/leaderboard/entries?quizMode=timed", None)
        .await;
    assert_eq!(nobody["items"], json!([]));
    assert_eq!(nobody["nextCursor"], json!(null));
}

async fn a_cursor_belongs_to_its_board(home: Backend) {
    let app = filled(home).await;
    let first = page(&app, "limit=3").await;
    let cursor = first["nextCursor"].as_str().expect("a next page");
    let again = page(&app, &format!("limit=9&cursor={cursor}")).await;
    assert_eq!(lines(&again["items"])[0], (4, 20, 200));
    for other in ["quizMode=survival&period=day", "quizMode=classic"] {
        let path = format!("/api/leaderboard/entries?{other}&cursor={cursor}");
        let (status, body) = app.get(&path, None).await;
        assert_eq!((status, &body["code"]), (400, &json!("bad_cursor")));
    }
}

async fn a_neighbourhood_has_five_above_and_five_below(home: Backend) {
    let app = filled(home).await;
    let around = async |number| {
        let token = app.token(number);
        let path = "/api/leaderboard/around?quizMode=survival&period=week";
        app.ok(path, Some(&token)).await
    };
    for (number, first, count) in [(12, 7, 11), (23, 1, 6), (1, 18, 6), (21, 1, 8)] {
        let told = around(number).await;
        let items = lines(&told["items"]);
        assert_eq!((items[0].0, items.len()), (first, count), "{number}");
        let places: Vec<_> = items
            .iter()
            .map(|(place, user, _)| (*place, *user))
            .collect();
        let expected: Vec<_> = (first..)
            .take(count)
            .map(|place| (place, 24 - u128::try_from(place).expect("positive")))
            .collect();
        assert_eq!(places, expected);
        assert_eq!(
            told["me"]["position"],
            24 - i64::try_from(number).expect("small")
        );
    }
    let stranger = around(99).await;
    assert_eq!(stranger["items"], json!([]));
    assert_eq!(stranger["me"], json!(null));
}
