//! A user who leaves at any moment of an answer's life: in the end no row names the user, and the
//! saga came to its end.

use contracts::events::{PersonalErased, UserDeleted};
use testkit::{Backend, eventually};
use uuid::Uuid;

use crate::app::{App, COMPLETES, NAME, PATIENCE, Says, TAKEN_BACK, right};

testkit::both_databases!(
    nothing_is_left_of_a_user_who_leaves_at_any_moment_of_an_answer_that_counts,
    nothing_is_left_of_a_user_who_leaves_at_any_moment_of_an_answer_that_is_taken_back,
    an_answer_that_came_before_the_departure_was_read_is_forgotten_with_the_rest,
    an_answer_whose_participants_stay_silent_is_taken_back_and_forgotten,
    who_waits_for_an_answer_when_the_account_goes_is_told_so,
    who_left_cannot_answer_and_others_keep_what_is_theirs,
    a_departure_that_is_read_again_changes_nothing,
    who_is_erased_keeps_the_answers_and_no_row_holds_the_name,
);

/// No table but that of departures says anything of the user.
async fn assert_forgotten(app: &App, user_id: Uuid) {
    eventually(PATIENCE, || async {
        let text = app.written().await;
        let lower = text.to_lowercase();
        let names = [
            user_id.to_string(),
            user_id.simple().to_string(),
            NAME.to_lowercase(),
        ];
        if names.iter().any(|name| lower.contains(name)) {
            Err(text)
        } else {
            Ok(())
        }
    })
    .await;
}

async fn leaves(app: &App, user_id: Uuid) {
    app.append(None, &UserDeleted { user_id }).await;
    app.caught_up().await;
}

async fn assert_cannot_answer(app: &App, user_id: Uuid) {
    let (status, body) = app.post(user_id, &right().to_string(), &[]).await;
    assert_eq!((status, &body["code"]), (401, &"account_deleted".into()));
}

/// Lets the user leave before each step of the answer's life, and after the last.
async fn at_every_moment(app: &App, life: &[Says], end: &str) {
    for moment in 0..=life.len() {
        let user_id = Uuid::now_v7();
        let answer_id = app.answer(user_id).await;
        for (number, says) in life.iter().enumerate() {
            if number == moment {
                leaves(app, user_id).await;
            }
            app.says(*says, answer_id, user_id).await;
        }
        if moment == life.len() {
            leaves(app, user_id).await;
        }
        app.logged(end, answer_id, 1).await;
        assert_cannot_answer(app, user_id).await;
        assert_forgotten(app, user_id).await;
    }
}

async fn nothing_is_left_of_a_user_who_leaves_at_any_moment_of_an_answer_that_counts(
    backend: Backend,
) {
    let app = App::start(backend).await;
    at_every_moment(&app, &COMPLETES, "answer_submission.completed").await;
    app.stop().await;
}

async fn nothing_is_left_of_a_user_who_leaves_at_any_moment_of_an_answer_that_is_taken_back(
    backend: Backend,
) {
    let app = App::start(backend).await;
    at_every_moment(&app, &TAKEN_BACK, "answer_submission.failed").await;
    app.stop().await;
}

async fn an_answer_that_came_before_the_departure_was_read_is_forgotten_with_the_rest(
    backend: Backend,
) {
    let app = App::start(backend).await;
    for read_after in 0..=TAKEN_BACK.len() {
        let user_id = Uuid::now_v7();
        // The log has the departure first, so that the participants refuse; this service reads it
        // at its own pace.
        app.accounts("pause").await;
        app.append(None, &UserDeleted { user_id }).await;
        let answer_id = app.answer(user_id).await;
        for (number, says) in TAKEN_BACK.iter().enumerate() {
            if number == read_after {
                app.accounts("resume").await;
                app.caught_up().await;
            }
            app.append_reply(*says, answer_id, user_id).await;
        }
        if read_after == TAKEN_BACK.len() {
            app.logged("answer_submission.failed", answer_id, 1).await;
            app.accounts("resume").await;
        }
        app.caught_up().await;
        app.logged("answer_submission.failed", answer_id, 1).await;
        assert_cannot_answer(&app, user_id).await;
        assert_forgotten(&app, user_id).await;
    }
    app.stop().await;
}

async fn an_answer_whose_participants_stay_silent_is_taken_back_and_forgotten(backend: Backend) {
    let app = App::start_with(backend, |config| config.answer_deadline_ms = 300).await;
    let user_id = Uuid::now_v7();
    let answer_id = app.answer(user_id).await;
    leaves(&app, user_id).await;
    app.logged("answer.revoked", answer_id, 1).await;
    app.says(Says::BadgesUndone, answer_id, user_id).await;
    app.says(Says::ScoreUndone, answer_id, user_id).await;
    app.logged("answer_submission.failed", answer_id, 1).await;
    assert_forgotten(&app, user_id).await;
    app.stop().await;
}

async fn who_waits_for_an_answer_when_the_account_goes_is_told_so(backend: Backend) {
    let app = App::start(backend).await;
    let user_id = Uuid::now_v7();
    let body = right().to_string();
    let waiting = app.post(user_id, &body, &[("prefer", "wait=10")]);
    let leaving = async {
        let answer_id = eventually(PATIENCE, || app.undecided(user_id)).await;
        leaves(&app, user_id).await;
        app.ends(&COMPLETES, answer_id, user_id).await;
    };
    let ((status, body), ()) = tokio::join!(waiting, leaving);
    assert_eq!((status, &body["code"]), (401, &"account_deleted".into()));
    assert_forgotten(&app, user_id).await;
    app.stop().await;
}

async fn who_left_cannot_answer_and_others_keep_what_is_theirs(backend: Backend) {
    let app = App::start(backend).await;
    let (ada, grace) = (Uuid::now_v7(), Uuid::now_v7());
    for user_id in [ada, grace] {
        let answer_id = app.answer(user_id).await;
        app.ends(&COMPLETES, answer_id, user_id).await;
    }
    leaves(&app, ada).await;
    assert_cannot_answer(&app, ada).await;
    assert_eq!(app.stats(ada).await["answered"], 0);
    assert_eq!(app.stats(grace).await["answered"], 1);
    let answer_id = app.answer(grace).await;
    app.ends(&COMPLETES, answer_id, grace).await;
    assert_eq!(app.stats(grace).await["streak"], 2);
    app.stop().await;
}

async fn a_departure_that_is_read_again_changes_nothing(backend: Backend) {
    let app = App::start(backend).await;
    let user_id = Uuid::now_v7();
    // Somebody who was never here, too.
    leaves(&app, user_id).await;
    leaves(&app, user_id).await;
    assert_cannot_answer(&app, user_id).await;
    assert_forgotten(&app, user_id).await;
    app.stop().await;
}

/// Sagas hold the name; events in the outbox hold it sealed.
async fn who_is_erased_keeps_the_answers_and_no_row_holds_the_name(backend: Backend) {
    let app = App::start(backend).await;
    let user_id = Uuid::now_v7();
    let answer_id = app.answer(user_id).await;
    let names = async || {
        app.written()
            .await
            .to_lowercase()
            .contains(&NAME.to_lowercase())
    };
    assert!(names().await, "the saga holds it");
    for says in COMPLETES {
        app.says(says, answer_id, user_id).await;
    }
    app.logged("answer_submission.completed", answer_id, 1)
        .await;
    let erased = PersonalErased {
        subject: user_id.to_string(),
        actor: "test".to_owned(),
        reason: "asked for".to_owned(),
    };
    app.append(None, &erased).await;
    app.caught_up().await;
    eventually(PATIENCE, || async { !names().await }).await;
    // The answer is still there: as text, or as SQLite's hexadecimal digits.
    let written = app.written().await.to_lowercase();
    assert!(
        written.contains(&user_id.to_string()) || written.contains(&user_id.simple().to_string())
    );
    app.stop().await;
}
