//! The participants' ledger by itself.

use database::{Database, Options, Tx};
use sagas::participant::{Ask, Complete, Ledger, Revoke, effect};
use serde_json::json;
use testkit::{Backend, both_databases};
use uuid::Uuid;

both_databases!(
    a_repeated_ask_is_answered_as_the_first_time,
    a_revocation_undoes_what_was_done_once,
    an_ask_after_its_revocation_does_nothing,
    a_completion_settles_what_was_done_once,
    an_ask_after_the_completion_is_done_for_good,
    the_first_end_stands,
    what_is_rolled_back_was_never_asked,
);

const STEP: &str = "pay";

async fn ledger(backend: &Backend) -> (Database, Tx, Uuid) {
    let database = backend.open(Options::default()).await;
    Ledger::migrate(&database).await.expect("a ledger");
    let tx = database.begin().await.expect("a transaction");
    (database, tx, Uuid::now_v7())
}

async fn ask(tx: &mut Tx, saga: Uuid) -> Ask {
    Ledger.ask(tx, saga, STEP).await.expect("an answer")
}

async fn revoke(tx: &mut Tx, saga: Uuid) -> Revoke {
    Ledger.revoke(tx, saga, STEP).await.expect("an answer")
}

async fn complete(tx: &mut Tx, saga: Uuid) -> Complete {
    Ledger.complete(tx, saga, STEP).await.expect("an answer")
}

async fn done(tx: &mut Tx, saga: Uuid) {
    Ledger
        .done(tx, saga, STEP, &json!({ "points": 3 }))
        .await
        .expect("a write");
}

async fn a_repeated_ask_is_answered_as_the_first_time(backend: Backend) {
    let (_database, mut tx, saga) = ledger(&backend).await;
    assert_eq!(ask(&mut tx, saga).await, Ask::Do);
    done(&mut tx, saga).await;
    let Ask::Done(kept) = ask(&mut tx, saga).await else {
        panic!("it was done")
    };
    assert_eq!(effect::<serde_json::Value>(&kept).unwrap()["points"], 3);
    let other = Uuid::now_v7();
    assert_eq!(ask(&mut tx, other).await, Ask::Do);
    Ledger
        .refused(&mut tx, other, STEP, &"too late")
        .await
        .unwrap();
    assert_eq!(ask(&mut tx, other).await, Ask::Refused(json!("too late")));
    assert_eq!(revoke(&mut tx, other).await, Revoke::Nothing);
}

async fn a_revocation_undoes_what_was_done_once(backend: Backend) {
    let (_database, mut tx, saga) = ledger(&backend).await;
    assert_eq!(ask(&mut tx, saga).await, Ask::Do);
    done(&mut tx, saga).await;
    assert_eq!(
        revoke(&mut tx, saga).await,
        Revoke::Undo(json!({ "points": 3 }))
    );
    assert_eq!(
        revoke(&mut tx, saga).await,
        Revoke::Again(json!({ "points": 3 }))
    );
    assert_eq!(ask(&mut tx, saga).await, Ask::Revoked);
}

async fn an_ask_after_its_revocation_does_nothing(backend: Backend) {
    let (_database, mut tx, saga) = ledger(&backend).await;
    assert_eq!(revoke(&mut tx, saga).await, Revoke::Nothing);
    assert_eq!(ask(&mut tx, saga).await, Ask::Revoked);
    assert_eq!(revoke(&mut tx, saga).await, Revoke::Nothing);
}

async fn a_completion_settles_what_was_done_once(backend: Backend) {
    let (_database, mut tx, saga) = ledger(&backend).await;
    assert_eq!(ask(&mut tx, saga).await, Ask::Do);
    done(&mut tx, saga).await;
    assert_eq!(
        complete(&mut tx, saga).await,
        Complete::Settle(json!({ "points": 3 }))
    );
    assert_eq!(complete(&mut tx, saga).await, Complete::Again);
}

async fn an_ask_after_the_completion_is_done_for_good(backend: Backend) {
    let (_database, mut tx, saga) = ledger(&backend).await;
    assert_eq!(complete(&mut tx, saga).await, Complete::Nothing);
    assert_eq!(ask(&mut tx, saga).await, Ask::DoForGood);
    done(&mut tx, saga).await;
    assert_eq!(ask(&mut tx, saga).await, Ask::Done(json!({ "points": 3 })));
}

async fn the_first_end_stands(backend: Backend) {
    let (_database, mut tx, saga) = ledger(&backend).await;
    assert_eq!(complete(&mut tx, saga).await, Complete::Nothing);
    assert_eq!(revoke(&mut tx, saga).await, Revoke::Completed);
    let other = Uuid::now_v7();
    assert_eq!(revoke(&mut tx, other).await, Revoke::Nothing);
    assert_eq!(complete(&mut tx, other).await, Complete::Revoked);
}

async fn what_is_rolled_back_was_never_asked(backend: Backend) {
    let (database, mut tx, saga) = ledger(&backend).await;
    assert_eq!(ask(&mut tx, saga).await, Ask::Do);
    done(&mut tx, saga).await;
    tx.rollback().await.unwrap();
    let mut tx = database.begin().await.unwrap();
    assert_eq!(ask(&mut tx, saga).await, Ask::Do);
}
