//! Between the commit and the players: what the question service confirms, and what happens while it
//! does not.

use contracts::{Payload, events::QuestionCreated};
use serde_json::json;
use testkit::{Backend, eventually};

use crate::app::{Home, PATIENCE, draft};

testkit::both_databases!(
    an_edit_that_players_do_not_see_yet_is_accepted_and_theirs_once_the_question_service_is_back,
    a_crash_behind_the_commit_loses_no_event,
);

const PATH: &str = "/api/admin/questions";

async fn an_edit_that_players_do_not_see_yet_is_accepted_and_theirs_once_the_question_service_is_back(
    backend: Backend,
) {
    let home = Home::new(backend).await;
    let app = home.start().await;
    let made = app.post(PATH, &draft(1)).await;
    assert_eq!(made.status, 202, "{made:?}");
    assert_eq!(made.headers["location"], made.path());
    assert_eq!(app.get(&made.path()).await.body, made.body, "read at once");
    let edited = app.put(&made.path(), &draft(2)).await;
    assert_eq!((edited.status, &edited.body["version"]), (202, &json!(2)));
    assert_eq!(edited.headers["location"], made.path());
    let other = app.post(PATH, &draft(3)).await;
    assert_eq!(app.delete(&other.path()).await.status, 202);

    let _bank = home.bank();
    eventually(PATIENCE, || async {
        app.put(&made.path(), &draft(2)).await.status == 200
    })
    .await;
    app.stop().await;
}

async fn a_crash_behind_the_commit_loses_no_event(backend: Backend) {
    let home = Home::new(backend).await;
    let app = home.start().await;
    // The relay commits, too, but fills no outbox.
    home.faults
        .die_after_signalling(event_store::outbox::SIGNAL);
    let lost = app.post(PATH, &draft(1)).await;
    assert_eq!(lost.status, 503, "the outcome is unknown: {lost:?}");
    assert!(lost.headers.contains_key("retry-after"));
    app.kill().await;
    home.faults.revive();
    assert_eq!(home.stored().await, 1);
    let (app, _bank) = (home.start().await, home.bank());
    home.logged(1).await;
    assert_eq!(
        home.events().await[0].event.event_type,
        QuestionCreated::TYPE
    );
    // Whoever was told 503 asks again and learns that it is there.
    let again = app.post(PATH, &draft(1)).await;
    assert_eq!(again.problem(), (409, "duplicate_question", "text"));
    app.stop().await;
}
