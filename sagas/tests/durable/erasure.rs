//! What is taken out of sagas when their user is gone, and when they ended long ago.

use std::{ops::ControlFlow, time::Duration};

use database::{Json, params};
use sagas::{Intervention, NewSaga, Phase, Saga, Timer, Verb};
use serde_json::{Value, json};
use testkit::{Backend, both_databases, eventually};
use uuid::Uuid;

use super::{
    order::Conduct,
    world::{PATIENCE, World},
};

both_databases!(
    a_saga_that_has_ended_is_erased_at_once_and_says_still_how_it_ended,
    a_saga_that_runs_keeps_what_it_needs_and_is_erased_after_its_end,
    a_saga_that_turns_back_is_erased_after_its_end,
    a_death_at_any_commit_after_the_mark_leaves_nothing_of_the_user,
    a_mark_that_another_replica_left_is_seen_after_a_restart,
    ended_sagas_are_removed_in_portions_and_those_given_up_stay,
);

const ADA: Uuid = Uuid::from_u128(7);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn started_by(world: &World, user_id: Uuid) -> Uuid {
    let id = Uuid::now_v7();
    let data = json!({ "userId": user_id, "displayName": "Ada Lovelace" });
    let mut tx = world.database().begin().await.unwrap();
    let new = NewSaga::new("order", id, data);
    world.engine().start(&mut tx, new).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn erase(world: &World, user_id: Uuid) {
    let mut tx = world.database().begin().await.unwrap();
    world.engine().erase(&mut tx, user_id).await.unwrap();
    tx.commit().await.unwrap();
}

/// All that the tables of sagas say of one.
async fn written(world: &World, id: Uuid) -> String {
    let sagas: Vec<(Json<Value>, Json<Value>)> = world
        .database()
        .fetch_all("SELECT data, steps FROM sagas WHERE id = $1", params![id])
        .await
        .unwrap();
    let entries: Vec<(Json<Value>,)> = world
        .database()
        .fetch_all(
            "SELECT inputs FROM saga_transitions WHERE saga_id = $1",
            params![id],
        )
        .await
        .unwrap();
    format!("{sagas:?} {entries:?}")
}

fn is_erased(saga: &Saga) -> bool {
    saga.data == json!({ "erased": true })
        && saga.state.steps.iter().all(|step| step.result.is_none())
}

async fn until_erased(world: &World, id: Uuid) -> Saga {
    eventually(PATIENCE, || async {
        let saga = world.saga(id).await;
        if is_erased(&saga) {
            ControlFlow::Break(saga)
        } else {
            ControlFlow::Continue(format!("{saga:?}"))
        }
    })
    .await
}

async fn a_saga_that_has_ended_is_erased_at_once_and_says_still_how_it_ended(backend: Backend) {
    let mut world = World::new(backend).await;
    let (id, other) = (
        started_by(&world, ADA).await,
        started_by(&world, Uuid::from_u128(8)).await,
    );
    let before = world.drive(id).await;
    world.drive(other).await;
    assert!(before.result("pay").is_some());
    erase(&world, ADA).await;
    let after = world.saga(id).await;
    assert!(is_erased(&after), "{after:?}");
    assert_eq!(
        (after.phase(), after.version),
        (Phase::Completed, before.version)
    );
    assert_eq!(
        (after.created_at, after.ended_at),
        (before.created_at, before.ended_at)
    );
    let step = |saga: &Saga| saga.step("pay").map(|step| (step.progress, step.attempt));
    assert_eq!(step(&after), step(&before));
    let text = written(&world, id).await;
    assert!(
        !text.contains("Ada") && !text.contains("participants"),
        "{text}"
    );
    assert!(!is_erased(&world.saga(other).await), "somebody else's");
    erase(&world, ADA).await;
    assert_eq!(
        world.saga(id).await.version,
        before.version,
        "a repeat finds nothing"
    );
}

async fn a_saga_that_runs_keeps_what_it_needs_and_is_erased_after_its_end(backend: Backend) {
    let mut world = World::new(backend).await;
    world.plan.set("pay", Conduct::Silent);
    let id = started_by(&world, ADA).await;
    world
        .until(id, |saga| world.waits_only_for_time(saga))
        .await;
    erase(&world, ADA).await;
    assert_eq!(world.saga(id).await.data["userId"], ADA.to_string());
    // It answers, so nobody lets time pass while the answer is under way.
    world.plan.set("pay", Conduct::Good);
    world.answer(id, "pay", false).await;
    world.drive(id).await;
    let saga = until_erased(&world, id).await;
    assert_eq!(saga.phase(), Phase::Completed);
    let text = written(&world, id).await;
    assert!(
        !text.contains("Ada") && !text.contains("participants"),
        "{text}"
    );
    world.check_end(&saga).await;
}

async fn a_saga_that_turns_back_is_erased_after_its_end(backend: Backend) {
    let mut world = World::new(backend).await;
    world.plan.set("pay", Conduct::Silent);
    let id = started_by(&world, ADA).await;
    world
        .until(id, |saga| world.waits_only_for_time(saga))
        .await;
    erase(&world, ADA).await;
    world.run_out(id, "pay", Timer::Deadline).await;
    world.drive(id).await;
    let saga = until_erased(&world, id).await;
    assert_eq!(saga.phase(), Phase::Compensated);
    world.check_end(&saga).await;
}

/// More commits than a saga makes after its start.
const COMMITS_MAX: u64 = 60;

async fn a_death_at_any_commit_after_the_mark_leaves_nothing_of_the_user(backend: Backend) {
    let mut world = World::new(backend).await;
    let mut deaths = 0;
    for commit in 1..COMMITS_MAX {
        let id = started_by(&world, ADA).await;
        erase(&world, ADA).await;
        if commit % 2 == 0 {
            world.faults.die_before(commit);
        } else {
            world.faults.die_after(commit);
        }
        world.drive(id).await;
        // What erases it may be the commit that it dies at.
        let died = died_before_the_erasure(&mut world, id).await;
        world.faults.revive();
        if !died {
            break;
        }
        deaths += 1;
    }
    assert!(deaths > 3, "{deaths}");
}

/// Waits until the saga is erased, starting the process again when it died; whether it ever did.
async fn died_before_the_erasure(world: &mut World, id: Uuid) -> bool {
    let settled = eventually(PATIENCE, || async {
        if world.faults.is_dead() {
            return ControlFlow::Break(false);
        }
        let saga = world.engine().load(id).await;
        match saga.is_ok_and(|saga| is_erased(&saga)) {
            true => ControlFlow::Break(true),
            false => ControlFlow::Continue("neither dead nor erased".to_owned()),
        }
    })
    .await;
    let died = world.deaths() > 0;
    if !settled {
        world.restart().await;
        until_erased(world, id).await;
    }
    died
}

async fn a_mark_that_another_replica_left_is_seen_after_a_restart(backend: Backend) {
    let mut world = World::new(backend).await;
    let id = started_by(&world, ADA).await;
    world.drive(id).await;
    world.stop().await;
    // As a replica of the version before leaves it, which ends sagas and knows no marks.
    let database = world.open().await;
    let now = database.now().await.unwrap();
    database
        .execute("UPDATE sagas SET erase_since = $1", params![now])
        .await
        .unwrap();
    database.close().await;
    world.restart().await;
    until_erased(&world, id).await;
}

async fn ended_sagas_are_removed_in_portions_and_those_given_up_stay(backend: Backend) {
    let mut world = World::new(backend).await;
    let mut ended = Vec::new();
    for _ in 0..3 {
        let id = world.started().await;
        world.drive(id).await;
        ended.push(id);
    }
    world.plan.set("pay", Conduct::Silent);
    let (running, given_up) = (world.started().await, world.started().await);
    let by = Intervention {
        verb: Verb::Abandon,
        actor: "ann".to_owned(),
        reason: "a test".to_owned(),
    };
    world.engine().intervene(given_up, by, None).await.unwrap();
    let end = world.clock.read() + DAY;

    let mut removed = Vec::new();
    for before in [world.clock.read() - DAY, end, end, end] {
        let mut tx = world.database().begin().await.unwrap();
        removed.push(world.engine().prune(&mut tx, before, 2).await.unwrap());
        tx.commit().await.unwrap();
    }
    assert_eq!(removed, [0, 2, 1, 0]);
    for id in ended {
        assert!(matches!(
            world.engine().load(id).await,
            Err(sagas::Error::NotFound(_))
        ));
        assert!(
            !written(&world, id).await.contains("input"),
            "nor its history"
        );
    }
    assert_eq!(world.saga(given_up).await.phase(), Phase::Abandoned);
    assert!(!world.saga(running).await.phase().is_end());
}
