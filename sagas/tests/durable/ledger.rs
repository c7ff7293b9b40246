//! The participants' ledger by itself.

use database::{Database, Dialect, Options, Tx};
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
    what_a_user_who_is_gone_did_names_nobody_any_more,
    rows_of_ended_sagas_are_removed_in_portions_and_the_audit_is_told,
    an_ask_that_was_never_done_is_remembered_as_long_as_it_may_still_come,
    of_two_who_begin_the_same_line_the_second_does_nothing_and_then_knows_of_the_first,
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

async fn what_a_user_who_is_gone_did_names_nobody_any_more(backend: Backend) {
    let (_database, mut tx, saga) = ledger(&backend).await;
    let (ada, grace, other) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    for (saga, user_id) in [(saga, ada), (other, grace)] {
        assert_eq!(ask(&mut tx, saga).await, Ask::Do);
        let effect = json!({ "userId": user_id, "points": 3 });
        Ledger.done(&mut tx, saga, STEP, &effect).await.unwrap();
    }
    let nobody = json!({ "userId": Uuid::nil() });
    Ledger.erase(&mut tx, STEP, ada, &nobody).await.unwrap();
    assert_eq!(ask(&mut tx, saga).await, Ask::Done(nobody.clone()));
    assert_eq!(revoke(&mut tx, saga).await, Revoke::Undo(nobody));
    let Revoke::Undo(kept) = revoke(&mut tx, other).await else {
        panic!("it was done")
    };
    assert_eq!(kept["userId"], grace.to_string());
}

async fn rows_of_ended_sagas_are_removed_in_portions_and_the_audit_is_told(backend: Backend) {
    let (database, mut tx, running) = ledger(&backend).await;
    assert_eq!(ask(&mut tx, running).await, Ask::Do);
    done(&mut tx, running).await;
    for n in 0..3 {
        let saga = Uuid::now_v7();
        assert_eq!(ask(&mut tx, saga).await, Ask::Do);
        done(&mut tx, saga).await;
        if n == 0 {
            assert!(matches!(revoke(&mut tx, saga).await, Revoke::Undo(_)));
        } else {
            assert!(matches!(complete(&mut tx, saga).await, Complete::Settle(_)));
        }
    }
    tx.commit().await.unwrap();
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let now = database.now().await.unwrap();
    let mut removed = Vec::new();
    for before in [now - day, now + day, now + day] {
        let mut tx = database.begin().await.unwrap();
        let told = Ledger.pruned_before(&database, STEP).await.unwrap();
        removed.push((Ledger.prune(&mut tx, STEP, before, 2).await.unwrap(), told));
        tx.commit().await.unwrap();
    }
    assert_eq!(removed, [(0, None), (2, None), (1, Some(now + day))]);
    let mut tx = database.begin().await.unwrap();
    assert!(matches!(ask(&mut tx, running).await, Ask::Done(_)));
}

async fn an_ask_that_was_never_done_is_remembered_as_long_as_it_may_still_come(backend: Backend) {
    let (database, mut tx, saga) = ledger(&backend).await;
    assert_eq!(revoke(&mut tx, saga).await, Revoke::Nothing);
    let later = database.now().await.unwrap() + std::time::Duration::from_secs(60);
    assert_eq!(Ledger.prune(&mut tx, STEP, later, 10).await.unwrap(), 0);
    assert_eq!(ask(&mut tx, saga).await, Ask::Revoked);
}

async fn of_two_who_begin_the_same_line_the_second_does_nothing_and_then_knows_of_the_first(
    backend: Backend,
) {
    let (database, mut first, saga) = ledger(&backend).await;
    if database.dialect() == Dialect::Sqlite {
        // Nobody begins there while somebody else works.
        return;
    }
    assert_eq!(ask(&mut first, saga).await, Ask::Do);
    done(&mut first, saga).await;
    let mut second = database.begin().await.expect("a transaction");
    assert_eq!(revoke(&mut second, saga).await, Revoke::Nothing);
    first.commit().await.expect("the ask is done");
    let refused = second
        .commit()
        .await
        .expect_err("it knew nothing of the ask");
    assert!(refused.is_transient(), "{refused}");
    let mut second = database.begin().await.expect("a transaction");
    let undo = Revoke::Undo(json!({ "points": 3 }));
    assert_eq!(revoke(&mut second, saga).await, undo);
    second.commit().await.expect("it is revoked");
}
