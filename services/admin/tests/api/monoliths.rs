//! Monoliths of an older version, with clocks that are set back, with old questions, and with edits
//! while they are imported.

use std::time::Duration;

use database::{Options, Timestamp, params};
use serde_json::json;
use testkit::{Backend, eventually};
use uuid::Uuid;

use crate::{
    app::{Home, PATIENCE, draft},
    following::{Monolith, PATH, follow, shows, shows_text},
};

testkit::both_databases!(
    a_monolith_without_tags_is_imported_and_followed,
    an_edit_is_followed_although_the_monoliths_clock_was_set_back,
    what_was_written_long_ago_is_not_read_again,
    what_is_written_while_the_first_import_runs_is_told,
);

async fn a_monolith_without_tags_is_imported_and_followed(backend: Backend) {
    let home = Home::new(backend).await;
    let monolith = Monolith::new(&home.backend).await;
    let id = Uuid::from_u128(1);
    monolith.write(id, 1, 1).await;
    monolith.forget_tags().await;
    let app = follow(&home, &monolith).await;
    shows_text(&app, id, 1).await;
    let path = format!("{PATH}/{id}");
    assert_eq!(app.get(&path).await.body["tags"], json!([]));
    let edit = "UPDATE questions SET difficulty = 'hard', version = 2, updated_at = $2
                WHERE id = $1";
    let now = monolith.now().await;
    monolith
        .db
        .execute(edit, params![id, now])
        .await
        .expect("an edit");
    eventually(PATIENCE, || async {
        app.get(&path).await.body["difficulty"] == "hard"
    })
    .await;
    app.stop().await;
}

async fn an_edit_is_followed_although_the_monoliths_clock_was_set_back(backend: Backend) {
    let home = Home::new(backend).await;
    let monolith = Monolith::new(&home.backend).await;
    let id = Uuid::from_u128(1);
    monolith.write(id, 1, 1).await;
    let app = follow(&home, &monolith).await;
    shows(&app, 1).await;
    let now = monolith.now().await;
    monolith.write_at(now, id, 2, 2).await;
    shows_text(&app, id, 2).await;
    let earlier = now - Duration::from_secs(2);
    monolith.write_at(earlier, id, 3, 3).await;
    shows_text(&app, id, 3).await;
    home.logged(2).await;
    app.stop().await;
}

async fn what_was_written_long_ago_is_not_read_again(backend: Backend) {
    let home = Home::new(backend).await;
    let monolith = Monolith::new(&home.backend).await;
    let long_ago = monolith.now().await - Duration::from_secs(3_600);
    for number in 1..=3 {
        let id = Uuid::from_u128(number as u128);
        monolith.write_at(long_ago, id, number, 1).await;
    }
    let app = follow(&home, &monolith).await;
    shows(&app, 3).await;
    // Reading goes on behind the rows of that time.
    let own = home.backend.open(Options::default()).await;
    eventually(PATIENCE, || async {
        let row: Option<(Timestamp,)> = own
            .fetch_optional(
                "SELECT watermark FROM follow_progress WHERE source = 'legacy.questions'",
                params![],
            )
            .await
            .expect("a row");
        row == Some((long_ago,))
    })
    .await;
    monolith.write(Uuid::from_u128(2), 12, 2).await;
    shows_text(&app, Uuid::from_u128(2), 12).await;
    home.logged(1).await;
    app.stop().await;
}

async fn what_is_written_while_the_first_import_runs_is_told(backend: Backend) {
    let home = Home::new(backend).await;
    let monolith = Monolith::new(&home.backend).await;
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    monolith.write(one, 1, 1).await;
    let begun = monolith.now().await;
    // An import that was cut off at once; the questions are written before it goes on.
    home.stored().await;
    let own = home.backend.open(Options::default()).await;
    own.execute(
        "INSERT INTO follow_progress (source, watermark) VALUES ('legacy.questions.begun', $1)",
        params![begun],
    )
    .await
    .expect("an import under way");
    own.close().await;
    let later = begun + Duration::from_millis(1);
    monolith.write_at(later, two, 2, 1).await;
    let app = follow(&home, &monolith).await;
    shows(&app, 2).await;
    home.logged(1).await;
    let told = home.events().await;
    assert_eq!(told[0].event.event_type, "question.created");
    assert_eq!(told[0].event.payload["text"], draft(2)["text"]);
    app.stop().await;
}
