//! Fail each step, let each step time out, run each step twice, repeat each undo.

use sagas::{Action, Phase, Progress, Step, Timer, Undoing};
use testkit::{Backend, both_databases};
use uuid::Uuid;

use super::{
    order::{Conduct, definition, steps},
    world::World,
};

both_databases!(
    it_completes,
    whichever_step_refuses_everything_is_undone,
    whichever_step_times_out_everything_is_undone,
    whichever_local_step_fails_it_is_run_again_or_everything_is_undone,
    whichever_step_is_run_twice_its_effect_is_there_once,
    whichever_undo_is_repeated_its_effect_is_there_once,
    whichever_undo_is_never_confirmed_a_person_is_called_and_a_late_confirmation_closes_it,
);

async fn it_completes(backend: Backend) {
    let mut world = World::new(backend).await;
    let saga = world.drive(Uuid::now_v7()).await;
    assert_eq!(saga.phase(), Phase::Completed);
    assert_eq!(saga.result("pay").expect("a result")["by"], "participants");
    world.check_end(&saga).await;
    replay_all_replies(&world, saga.id).await;
}

async fn whichever_step_refuses_everything_is_undone(backend: Backend) {
    let mut world = World::new(backend).await;
    for step in definition(1).steps().map(Step::name) {
        world.plan.set(step, Conduct::Refuses);
        let saga = world.drive(Uuid::now_v7()).await;
        assert_eq!(saga.phase(), Phase::Compensated, "{step}");
        assert_eq!(saga.step(step).expect("a step").progress, Progress::Refused);
        world.check_end(&saga).await;
        replay_all_replies(&world, saga.id).await;
        world.plan.set(step, Conduct::Good);
    }
}

async fn whichever_step_times_out_everything_is_undone(backend: Backend) {
    let mut world = World::new(backend).await;
    for step in steps(Action::Ask) {
        world.plan.set(step, Conduct::Silent);
        let saga = world.drive(Uuid::now_v7()).await;
        assert_eq!(saga.phase(), Phase::Compensated, "{step}");
        assert_eq!(saga.step(step).expect("a step").progress, Progress::Unknown);
        world.check_end(&saga).await;
        world.plan.set(step, Conduct::Good);
    }
}

async fn whichever_local_step_fails_it_is_run_again_or_everything_is_undone(backend: Backend) {
    let mut world = World::new(backend).await;
    let in_the_start = ["reserve", "note"];
    for step in steps(Action::Local)
        .into_iter()
        .filter(|step| !in_the_start.contains(step))
    {
        world.plan.set(step, Conduct::FailsOnce);
        let saga = world.drive(Uuid::now_v7()).await;
        assert_eq!(saga.phase(), Phase::Completed, "{step}");
        assert_eq!(saga.step(step).expect("a step").attempt, 2);
        world.check_end(&saga).await;
        world.plan.set(step, Conduct::Fails);
        let saga = world.drive(Uuid::now_v7()).await;
        assert_eq!(saga.phase(), Phase::Compensated, "{step}");
        world.check_end(&saga).await;
        world.plan.set(step, Conduct::Good);
    }
    // These run in the caller's transaction, which is given up when one fails.
    for step in in_the_start {
        world.plan.set(step, Conduct::Fails);
        let id = Uuid::now_v7();
        world.start(id).await.expect_err("the caller is told");
        assert!(matches!(
            world.engine().load(id).await,
            Err(sagas::Error::NotFound(_))
        ));
        world.plan.set(step, Conduct::Good);
    }
}

async fn whichever_step_is_run_twice_its_effect_is_there_once(backend: Backend) {
    let mut world = World::new(backend).await;
    for step in steps(Action::Ask) {
        world.plan.set(step, Conduct::Twice);
        let saga = world.drive(Uuid::now_v7()).await;
        assert_eq!(saga.phase(), Phase::Completed, "{step}");
        world.check_end(&saga).await;
    }
}

async fn whichever_undo_is_repeated_its_effect_is_there_once(backend: Backend) {
    let mut world = World::new(backend).await;
    world.plan.set("close", Conduct::Refuses);
    let undos = [
        ("undo:pay", Conduct::Twice),
        ("undo:pack", Conduct::Twice),
        ("undo:ship", Conduct::Twice),
        ("undo:reserve", Conduct::FailsOnce),
        ("undo:note", Conduct::FailsOnce),
    ];
    for (undo, conduct) in undos {
        world.plan.set(undo, conduct);
        let saga = world.drive(Uuid::now_v7()).await;
        assert_eq!(saga.phase(), Phase::Compensated, "{undo}");
        world.check_end(&saga).await;
        replay_all_replies(&world, saga.id).await;
    }
}

async fn whichever_undo_is_never_confirmed_a_person_is_called_and_a_late_confirmation_closes_it(
    backend: Backend,
) {
    let world = World::new(backend).await;
    world.plan.set("close", Conduct::Refuses);
    let undos = [
        ("ship", "undo:ship"),
        ("pay", "undo:pay"),
        ("pack", "undo:pack"),
    ];
    for (step, undo) in undos {
        world.plan.set(undo, Conduct::Silent);
        let id = world.started().await;
        let waits = |saga: &sagas::Saga, attempt| {
            let step = saga.step(step).expect("a step");
            step.undo == Undoing::Started && step.undo_attempt == attempt
        };
        world
            .until(id, |saga| waits(saga, 1) && world.waits_only_for_time(saga))
            .await;
        world.run_out(id, step, Timer::UndoRetry).await;
        world.until(id, |saga| waits(saga, 2)).await;
        world.run_out(id, step, Timer::UndoRetry).await;
        let saga = world
            .until(id, |saga| saga.phase() == Phase::NeedsIntervention)
            .await;
        assert!(saga.state.rolled_back, "whoever waited was told long ago");
        world.plan.set(undo, Conduct::Good);
        world.answer(id, step, true).await;
        let saga = world.until(id, |saga| saga.phase().is_end()).await;
        world.check_end(&saga).await;
    }
}

/// Every reply once more, after the end: nothing moves.
async fn replay_all_replies(world: &World, id: Uuid) {
    use event_store::Handler;
    let before = world.saga(id).await;
    for event in super::world::events_of(&world.log, id).await {
        let mut tx = world.database().begin().await.expect("a transaction");
        world
            .engine()
            .handler()
            .handle(&mut tx, &event)
            .await
            .expect("a harmless repeat");
        tx.commit().await.expect("a commit");
    }
    let after = world.saga(id).await;
    assert_eq!((after.version, after.state), (before.version, before.state));
}
