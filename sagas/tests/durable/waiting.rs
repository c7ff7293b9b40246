//! Who waits for a saga is told as soon as it is decided, wherever that happens.

use std::{sync::Arc, time::Duration};

use database::Timestamp;
use sagas::{Intervention, NewSaga, Phase, Timer, Verb};
use serde_json::json;
use testkit::{Backend, both_databases};
use uuid::Uuid;

use super::{
    order::Conduct,
    process::Parts,
    world::{PATIENCE, World},
};

both_databases!(
    a_waiter_registered_before_the_commit_is_told_the_end,
    a_waiter_is_told_of_the_roll_back_while_a_participant_is_still_silent,
    a_waiter_of_another_replica_is_told,
    a_waiter_who_is_out_of_time_sees_an_undecided_saga,
    a_waiter_is_told_by_the_commit_that_decides,
);

async fn a_waiter_registered_before_the_commit_is_told_the_end(backend: Backend) {
    let world = World::new(backend).await;
    let id = Uuid::now_v7();
    let waiter = world.engine().waiter(id);
    let mut tx = world.database().begin().await.unwrap();
    world
        .engine()
        .start(&mut tx, NewSaga::new("order", id, json!({})))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let saga = waiter.wait(PATIENCE).await.unwrap();
    assert_eq!(saga.phase(), Phase::Completed);
    assert_eq!(saga.result("ship").unwrap()["by"], "participants");
}

async fn a_waiter_is_told_of_the_roll_back_while_a_participant_is_still_silent(backend: Backend) {
    let world = World::new(backend).await;
    world.plan.set("pay", Conduct::Silent);
    world.plan.set("undo:pay", Conduct::Silent);
    let id = world.started().await;
    world
        .until(id, |saga| world.waits_only_for_time(saga))
        .await;
    let waiting = world.engine().wait(id, PATIENCE);
    let (saga, ()) = tokio::join!(waiting, world.run_out(id, "pay", Timer::Deadline));
    let saga = saga.unwrap();
    assert!(saga.is_decided() && saga.state.rolled_back);
    assert!(!saga.phase().is_end(), "nobody confirmed: {:?}", saga.state);
}

async fn a_waiter_of_another_replica_is_told(backend: Backend) {
    let world = World::new(backend).await;
    let replica = world.spawn(Parts::TimersOnly, &[1]).await;
    let id = world.started().await;
    let saga = replica.engine.wait(id, PATIENCE).await.unwrap();
    assert_eq!(saga.phase(), Phase::Completed);
    replica.stop().await;
}

async fn a_waiter_who_is_out_of_time_sees_an_undecided_saga(backend: Backend) {
    let world = World::new(backend).await;
    world.plan.set("pay", Conduct::Silent);
    let id = world.started().await;
    let saga = world
        .engine()
        .wait(id, Duration::from_millis(50))
        .await
        .unwrap();
    assert!(!saga.is_decided() && saga.created_at > Timestamp::from_micros(0));
    let missing = world.engine().wait(Uuid::now_v7(), PATIENCE).await;
    assert!(matches!(missing, Err(sagas::Error::NotFound(_))));
}

/// Nothing of this engine runs that could find it out later.
async fn a_waiter_is_told_by_the_commit_that_decides(backend: Backend) {
    let world = World::new(backend).await;
    world.plan.set("pay", Conduct::Silent);
    let id = world.started().await;
    let (database, clock) = (world.open().await, Arc::new(world.clock.clone()));
    let engine = world.engine_over(&database, clock, &[1]).await;
    let told = engine.waiter(id).is_decided_within(Duration::ZERO);
    assert!(!told.await);
    let waiter = engine.waiter(id);
    let by = Intervention {
        verb: Verb::Abandon,
        actor: "ann".to_owned(),
        reason: "a test".to_owned(),
    };
    engine.intervene(id, by, None).await.unwrap();
    assert!(waiter.is_decided_within(Duration::ZERO).await);
    database.close().await;
}
