//! What this service tells the curators: that players see an edit.

use contracts::{
    Payload,
    events::{QuestionApplied, QuestionCreated, QuestionDeleted, QuestionUpdated},
};
use database::{Database, Timestamp, params};
use serde_json::json;
use testkit::{Backend, eventually};
use uuid::Uuid;

use crate::{
    app::{App, PATIENCE},
    created, id, updated,
};

testkit::both_databases!(
    each_change_is_confirmed_once_players_see_it_and_never_again,
    an_older_version_overwrites_nothing,
    an_event_wins_over_an_imported_question_of_a_higher_version,
    an_event_without_a_version_has_that_of_its_stream,
    what_is_parked_is_not_confirmed,
);

/// Question and version of each confirmation so far.
async fn confirmed(app: &App) -> Vec<(Uuid, i64)> {
    let logged = app.logged(QuestionApplied::TYPE).await;
    let applied = logged.into_iter().map(|recorded| {
        let applied: QuestionApplied = recorded.event.payload().expect("its payload");
        assert_eq!(
            recorded.event.stream,
            format!("question-bank-{}", applied.question_id)
        );
        (applied.question_id, applied.version)
    });
    applied.collect()
}

async fn confirms(app: &App, expected: &[(Uuid, i64)]) {
    eventually(PATIENCE, || async { confirmed(app).await == expected }).await;
}

async fn each_change_is_confirmed_once_players_see_it_and_never_again(backend: Backend) {
    let app = App::start(backend).await;
    app.append(id(1), 1, &created(id(1), "rust", "What is a borrow?"))
        .await;
    app.append(id(1), 2, &updated(id(1), "What is a mutable borrow?"))
        .await;
    let gone = QuestionDeleted {
        question_id: id(1),
        version: 3,
    };
    app.append(id(1), 3, &gone).await;
    let all = [(id(1), 1), (id(1), 2), (id(1), 3)];
    confirms(&app, &all).await;

    assert_eq!(app.post("/ops/consumers/question-bank/replay").await, 200);
    // What comes after the replay is confirmed after it, so nothing of the replay is on its way.
    app.append(id(2), 1, &created(id(2), "rust", "What is a trait?"))
        .await;
    confirms(&app, &[all.as_slice(), &[(id(2), 1)]].concat()).await;
    app.shows(&[id(2)]).await;
}

async fn an_older_version_overwrites_nothing(backend: Backend) {
    let app = App::start(backend).await;
    let newest = QuestionUpdated {
        version: 7,
        ..updated(id(1), "What is the newest text?")
    };
    app.append(id(1), 1, &newest).await;
    app.append(id(1), 2, &updated(id(1), "What is an old text?"))
        .await;
    let gone = QuestionDeleted {
        question_id: id(1),
        version: 6,
    };
    app.append(id(1), 3, &gone).await;
    let same = QuestionUpdated {
        version: 8,
        ..updated(id(1), "What is the last text?")
    };
    app.append(id(2), 1, &created(id(2), "rust", "What is a trait?"))
        .await;
    confirms(&app, &[(id(1), 7), (id(2), 1)]).await;
    let (_, question) = app.get(&format!("/api/questions/{}", id(1))).await;
    assert_eq!(question["text"], "What is the newest text?");
    app.append(id(1), 4, &same).await;
    confirms(&app, &[(id(1), 7), (id(2), 1), (id(1), 8)]).await;
}

/// What an import of the monolith leaves: both questions in a version that it counted itself.
async fn import(database: &Database) {
    let sql = "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                      version, updated_at, legacy_updated_at)
               VALUES ($1, 'What did the monolith say?', 'rust', 'easy', $2, 'a', 30, $3, $3)
               ON CONFLICT (id) DO NOTHING";
    for number in 1..=2 {
        let at = Timestamp::from_micros(1_000_000);
        let row = params![id(number), json!([]), at];
        database.execute(sql, row).await.expect("a row");
    }
}

async fn an_event_wins_over_an_imported_question_of_a_higher_version(backend: Backend) {
    let app = App::start(backend).await;
    let database = app.database().await;
    import(&database).await;
    app.append(id(1), 1, &updated(id(1), "What did the curator say?"))
        .await;
    let gone = QuestionDeleted {
        question_id: id(2),
        version: 2,
    };
    app.append(id(2), 1, &gone).await;
    let both = [(id(1), 2), (id(2), 2)];
    confirms(&app, &both).await;
    let newest = async || app.get("/api/questions?q=curator").await.1["items"][0]["text"].clone();
    eventually(PATIENCE, || async {
        newest().await == "What did the curator say?"
    })
    .await;
    app.shows(&[id(1)]).await;

    // An import that runs beside a replay finds the rows gone and puts its own there.
    for sql in ["DELETE FROM question_search", "DELETE FROM questions"] {
        database.execute(sql, params![]).await.expect("no rows");
    }
    import(&database).await;
    assert_eq!(app.post("/ops/consumers/question-bank/replay").await, 200);
    app.append(id(3), 1, &created(id(3), "rust", "What is a trait?"))
        .await;
    confirms(&app, &[both.as_slice(), &[(id(3), 1)]].concat()).await;
    app.shows(&[id(1), id(3)]).await;
    assert_eq!(newest().await, "What did the curator say?");
    database.close().await;
}

async fn an_event_without_a_version_has_that_of_its_stream(backend: Backend) {
    let app = App::start(backend).await;
    let mut first = serde_json::to_value(created(id(1), "rust", "What is a trait?")).expect("JSON");
    for key in ["tags", "version"] {
        first.as_object_mut().expect("an object").remove(key);
    }
    app.append_raw(id(1), 1, QuestionCreated::TYPE, first).await;
    let gone = json!({ "questionId": id(1) });
    app.append_raw(id(1), 2, QuestionDeleted::TYPE, gone).await;
    confirms(&app, &[(id(1), 1), (id(1), 2)]).await;
    app.shows(&[]).await;
}

async fn what_is_parked_is_not_confirmed(backend: Backend) {
    let app = App::start(backend).await;
    app.append_raw(id(1), 1, QuestionCreated::TYPE, json!({ "questionId": 7 }))
        .await;
    app.append(id(1), 2, &updated(id(1), "It waits behind, does it?"))
        .await;
    app.append(id(2), 1, &created(id(2), "rust", "What is a trait?"))
        .await;
    confirms(&app, &[(id(2), 1)]).await;
}
