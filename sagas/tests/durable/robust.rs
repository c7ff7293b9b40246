//! Answers that come too early, too late, twice or against each other; undos that fail again and
//! again; and a restart with very many sagas that wait.

use std::ops::ControlFlow;

use database::{Sql, params};
use sagas::{Intervention, Outcome, Phase, Progress, Saga, Undoing, Verb};
use testkit::{Backend, both_databases, eventually};
use uuid::Uuid;

use super::{
    order::{Conduct, PATIENT},
    races::take,
    world::{PATIENCE, World},
};

both_databases!(
    a_reply_before_its_saga_or_its_ask_changes_nothing_and_the_ask_is_answered,
    a_refusal_after_done_and_whatever_comes_after_the_end_changes_nothing,
    an_undo_that_fails_ten_times_needs_a_person_and_ends_when_the_person_retries,
    a_restart_costs_the_same_however_many_sagas_wait,
    sagas_whose_definition_went_missing_are_parked_and_resumed_many_to_a_commit,
);

async fn a_reply_before_its_saga_or_its_ask_changes_nothing_and_the_ask_is_answered(
    backend: Backend,
) {
    let mut world = World::new(backend).await;
    let id = Uuid::now_v7();
    // Neither the saga nor any of its asks is committed.
    for step in ["pay", "ship"] {
        let early = world.unlogged(id, step, false, Outcome::Done);
        take(world.process(), &early).await;
    }
    world.plan.set("pack", Conduct::Silent);
    world.start(id).await.unwrap();
    let waits = |saga: &Saga| world.waits_only_for_time(saga);
    let before = world.until(id, waits).await;
    // The saga is there, and this step of it is not asked for yet.
    let early = world.unlogged(id, "ship", false, Outcome::Done);
    take(world.process(), &early).await;
    let after = world.saga(id).await;
    assert_eq!(
        (after.version, &after.state),
        (before.version, &before.state)
    );
    world.plan.set("pack", Conduct::Good);
    world.answer(id, "pack", false).await;
    let saga = world.drive(id).await;
    assert_eq!(saga.phase(), Phase::Completed);
    world.check_end(&saga).await;
}

async fn a_refusal_after_done_and_whatever_comes_after_the_end_changes_nothing(backend: Backend) {
    let mut world = World::new(backend).await;
    world.plan.set("pack", Conduct::Silent);
    let id = world.started().await;
    let paid = |saga: &Saga| {
        let pay = saga.step("pay").map(|step| step.progress);
        pay == Some(Progress::Done) && world.waits_only_for_time(saga)
    };
    let before = world.until(id, paid).await;
    let refused = || Outcome::Refused {
        reason: "on second thoughts".to_owned(),
    };
    let contrary = world.unlogged(id, "pay", false, refused());
    take(world.process(), &contrary).await;
    let after = world.saga(id).await;
    assert_eq!(
        (after.version, &after.state),
        (before.version, &before.state)
    );
    world.plan.set("pack", Conduct::Good);
    world.answer(id, "pack", false).await;
    let ended = world.drive(id).await;
    assert_eq!(ended.phase(), Phase::Completed);
    for late in [
        world.unlogged(id, "ship", false, refused()),
        world.unlogged(id, "pay", false, Outcome::Done),
        world.unlogged(id, "pay", true, Outcome::Done),
    ] {
        take(world.process(), &late).await;
    }
    let after = world.saga(id).await;
    assert_eq!((after.version, &after.state), (ended.version, &ended.state));
    world.check_end(&after).await;
}

async fn an_undo_that_fails_ten_times_needs_a_person_and_ends_when_the_person_retries(
    backend: Backend,
) {
    let mut world = World::new(backend).await;
    world.restart_with(&[PATIENT]).await;
    world.plan.set("ship", Conduct::Refuses);
    world.plan.set("undo:reserve", Conduct::Fails);
    world.plan.set("undo:pay", Conduct::Silent);
    let id = world.started().await;
    world.until(id, |saga| saga.phase().is_compensating()).await;
    let gave_up = |saga: &Saga, step: &str| {
        let step = saga.step(step).expect("a step");
        (step.undo, step.undo_attempt) == (Undoing::Failed, 10)
    };
    let saga = eventually(PATIENCE, || async {
        let saga = world.saga(id).await;
        if gave_up(&saga, "reserve") && gave_up(&saga, "pay") {
            return ControlFlow::Break(saga);
        }
        if let Some(next) = saga.state.timers().map(|(_, _, due)| due).min() {
            world.clock.advance_to(next);
        }
        ControlFlow::Continue(format!("{:?}", saga.state))
    })
    .await;
    assert_eq!(saga.phase(), Phase::NeedsIntervention);
    assert!(!saga.is_decided(), "the owner still holds what it did");
    world.plan.set("undo:reserve", Conduct::Good);
    world.plan.set("undo:pay", Conduct::Good);
    let retry = Intervention {
        verb: Verb::RetryCompensation,
        actor: "maria".to_owned(),
        reason: "the disk is mended".to_owned(),
    };
    let version = Some(saga.version);
    world.engine().intervene(id, retry, version).await.unwrap();
    let saga = world.until(id, |saga| saga.phase().is_end()).await;
    assert_eq!(saga.step("reserve").unwrap().undo_attempt, 11);
    world.check_end(&saga).await;
}

/// Many, for a test; `cargo xtask bench recovery` has a hundred thousand.
const MANY: i64 = 3_000;

/// Commits of a start and of one saga that completes, and some more: far fewer than [`MANY`].
const FEW: u64 = 200;

/// A world with [`MANY`] sagas that wait for `pay`, all like one that was started.
async fn many_wait(backend: Backend) -> World {
    const SAGAS: Sql = Sql::by_dialect(
        "INSERT INTO sagas (id, definition, definition_version, state, version, correlation_id,
             data, rolled_back, steps, policy, created_at, updated_at)
         SELECT gen_random_uuid(), definition, definition_version, state, version, correlation_id,
             data, rolled_back, steps, policy, created_at, updated_at
         FROM sagas, generate_series(1, $2) WHERE id = $1",
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < $2)
         INSERT INTO sagas (id, definition, definition_version, state, version, correlation_id,
             data, rolled_back, steps, policy, created_at, updated_at)
         SELECT randomblob(16), definition, definition_version, state, version, correlation_id,
             data, rolled_back, steps, policy, created_at, updated_at
         FROM sagas, number WHERE id = $1",
    );
    let world = World::new(backend).await;
    world.plan.set("pay", Conduct::Silent);
    let id = world.started().await;
    world
        .until(id, |saga| world.waits_only_for_time(saga))
        .await;
    let database = world.database();
    database.execute(SAGAS, params![id, MANY]).await.unwrap();
    let timers = "INSERT INTO saga_deadlines (saga_id, step, kind, due_at)
                  SELECT sagas.id, step, kind, due_at FROM sagas, saga_deadlines
                  WHERE saga_id = $1 AND sagas.id <> $1";
    database.execute(timers, params![id]).await.unwrap();
    world.plan.set("pay", Conduct::Good);
    world
}

async fn a_restart_costs_the_same_however_many_sagas_wait(backend: Backend) {
    let mut world = many_wait(backend).await;
    let before = world.faults.commits();
    world.restart().await;
    let id = world.started().await;
    let saga = world.until(id, |saga| saga.phase().is_end()).await;
    assert_eq!(saga.phase(), Phase::Completed);
    let commits = world.faults.commits() - before;
    assert!(commits < FEW, "{commits} commits");
}

async fn sagas_whose_definition_went_missing_are_parked_and_resumed_many_to_a_commit(
    backend: Backend,
) {
    let mut world = many_wait(backend).await;
    for (versions, wanted) in [([2].as_slice(), "parked"), (&[1, 2], "running")] {
        let before = world.faults.commits();
        world.restart_with(versions).await;
        eventually(PATIENCE, || async {
            let sql = "SELECT COUNT(*) FROM sagas WHERE state = $1";
            let counted = world.database().fetch_one(sql, params![wanted]).await;
            let (count,): (i64,) = counted.unwrap();
            count == MANY + 1
        })
        .await;
        let commits = world.faults.commits() - before;
        assert!(
            commits < MANY.unsigned_abs() / 32 + FEW,
            "{commits} commits"
        );
    }
    let (timers,): (i64,) = world
        .database()
        .fetch_one("SELECT COUNT(*) FROM saga_deadlines", params![])
        .await
        .unwrap();
    assert_eq!(timers, MANY + 1, "each waits again as it did");
}
