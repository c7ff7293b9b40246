//! Replicas: whoever is first wins, and the other does nothing.

use event_store::Handler;
use http::StatusCode;
use sagas::{Outcome, Phase, Progress, Timer};
use serde_json::json;
use testkit::{Backend, both_databases, eventually};

use super::{
    operating::{call, waiting_for_pay},
    order::Conduct,
    process::Parts,
    world::{PATIENCE, World},
};

both_databases!(
    a_deadline_and_a_reply_in_the_same_instant_have_one_winner,
    a_reply_that_lies_in_the_log_wins_over_a_deadline,
    replicas_share_all_the_work_and_do_it_once,
    sagas_of_a_new_version_end_while_an_old_replica_still_runs,
    of_two_operators_who_act_at_once_one_wins_and_the_other_is_told,
    replies_in_one_batch_move_their_sagas_as_one_by_one,
);

/// Rounds of the race; both ends are seen in most runs, and either is right.
const ROUNDS: usize = 12;

async fn a_deadline_and_a_reply_in_the_same_instant_have_one_winner(backend: Backend) {
    let world = World::asleep(backend).await;
    let one = world.spawn(Parts::TimersOnly, &[1]).await;
    let two = world.spawn(Parts::TimersOnly, &[1]).await;
    for _ in 0..ROUNDS {
        let id = uuid::Uuid::now_v7();
        one.start(id).await.expect("a started saga");
        let pack = world.answer(id, "pack", false).await;
        take(&two, &pack).await;
        let pay = world.answer(id, "pay", false).await;
        let due = one
            .engine
            .load(id)
            .await
            .unwrap()
            .step("pay")
            .unwrap()
            .timers[&Timer::Deadline];
        // Both replicas' timers and the reply's handler are off at once.
        let clock = world.clock.clone();
        tokio::join!(async { clock.advance_to(due) }, take(&two, &pay));
        let saga = eventually(PATIENCE, || async {
            let saga = one.engine.load(id).await?;
            let settled = saga
                .step("pay")
                .is_some_and(|pay| pay.progress != Progress::Started);
            Ok::<_, sagas::Error>(settled.then_some(saga))
        })
        .await;
        let pay = saga.step("pay").expect("a step");
        match (saga.phase(), pay.progress) {
            (Phase::Running, Progress::Done) => {
                assert_eq!(
                    saga.step("ship").expect("a step").progress,
                    Progress::Started
                );
            }
            (Phase::Compensating, Progress::Unknown) => {
                assert!(matches!(pay.late, None | Some(Outcome::Done)), "{pay:?}");
            }
            other => panic!("{other:?}: {:?}", saga.state),
        }
    }
    one.stop().await;
    two.stop().await;
}

/// Handles an event as the consumer does.
pub(crate) async fn take(process: &super::process::Process, event: &contracts::Recorded) {
    let mut tx = process.database.begin().await.expect("a transaction");
    process
        .engine
        .handler()
        .handle(&mut tx, event)
        .await
        .expect("a handled event");
    tx.commit().await.expect("a commit");
}

async fn a_reply_that_lies_in_the_log_wins_over_a_deadline(backend: Backend) {
    let mut world = World::new(backend).await;
    world.plan.set("pay", Conduct::Silent);
    let id = world.started().await;
    world
        .until(id, |saga| world.waits_only_for_time(saga))
        .await;
    let due = world.saga(id).await.step("pay").expect("a step").timers[&Timer::Deadline];
    world.stop().await;
    world.answer(id, "pay", false).await;
    world.clock.advance_to(due);
    // The timers find the deadline before the consumer has found the reply.
    world.restart().await;
    let saga = world.until(id, |saga| saga.phase().is_end()).await;
    assert_eq!(saga.phase(), Phase::Completed);
    world.check_end(&saga).await;
}

async fn replicas_share_all_the_work_and_do_it_once(backend: Backend) {
    let world = World::new(backend).await;
    let replica = world.spawn(Parts::All, &[1]).await;
    let mut ids = Vec::new();
    for _ in 0..ROUNDS {
        let id = uuid::Uuid::now_v7();
        replica.start(id).await.expect("a started saga");
        ids.extend([id, world.started().await]);
    }
    world.plan.set("ship", Conduct::Refuses);
    for id in ids {
        let saga = world.until(id, |saga| saga.phase().is_end()).await;
        world.check_end(&saga).await;
    }
    replica.stop().await;
}

async fn sagas_of_a_new_version_end_while_an_old_replica_still_runs(backend: Backend) {
    let world = World::new(backend).await;
    let newer = world.spawn(Parts::All, &[1, 2]).await;
    let mut ids = Vec::new();
    for _ in 0..ROUNDS {
        let id = uuid::Uuid::now_v7();
        newer.start(id).await.expect("a started saga");
        ids.push(id);
    }
    for id in ids {
        // Whatever the old replica parks, the new one takes up again.
        let saga = world.until(id, |saga| saga.phase().is_end()).await;
        assert_eq!(
            (saga.phase(), saga.definition_version),
            (Phase::Completed, 2)
        );
        world.check_end(&saga).await;
    }
    newer.stop().await;
}

/// Races between two operators; either may win each.
const ACTS: usize = 4;

async fn of_two_operators_who_act_at_once_one_wins_and_the_other_is_told(backend: Backend) {
    let world = World::new(backend).await;
    let replica = world.spawn(Parts::TimersOnly, &[1]).await;
    let (here, there) = (world.engine().ops(), replica.engine.ops());
    for _ in 0..ACTS {
        let id = waiting_for_pay(&world).await;
        let version = world.saga(id).await.version;
        let act = json!({ "reason": "I was first", "ifVersion": version });
        let resolve = json!({
            "reason": "I was first", "ifVersion": version, "step": "pay", "outcome": "done",
        });
        let (resolve_at, turn_at) = (
            format!("/sagas/{id}/resolve"),
            format!("/sagas/{id}/compensate"),
        );
        let (one, two) = tokio::join!(
            call(&here, "POST", &resolve_at, resolve),
            call(&there, "POST", &turn_at, act),
        );
        let ((winner, told), lost) = if one.0 == StatusCode::OK {
            (one, two)
        } else {
            (two, one)
        };
        assert_eq!(winner, StatusCode::OK, "{told}");
        assert_eq!(
            (lost.0, &lost.1["code"]),
            (StatusCode::CONFLICT, &json!("version_conflict")),
            "{}",
            lost.1
        );
        // The winner's act may have moved the saga on before the other was looked at.
        let told_of = lost.1["version"].as_i64().expect("a version");
        assert!(told_of > version, "{}", lost.1);
        let saga = world.until(id, |saga| saga.phase().is_end()).await;
        let turned = told["state"] == "compensating";
        assert_eq!(
            saga.phase() == Phase::Compensated,
            turned,
            "the winner's act stands"
        );
        world.check_end(&saga).await;
    }
    replica.stop().await;
}

async fn replies_in_one_batch_move_their_sagas_as_one_by_one(backend: Backend) {
    let world = World::asleep(backend).await;
    let process = world.spawn(Parts::TimersOnly, &[1]).await;
    let (one, other) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    let mut replies = Vec::new();
    for id in [one, other] {
        process.start(id).await.expect("a started saga");
    }
    for step in ["pack", "pay"] {
        for id in [one, other] {
            replies.push(world.answer(id, step, false).await);
        }
    }
    // A repeat changes nothing, in the same batch either.
    replies.push(replies[0].clone());
    let mut tx = process.database.begin().await.expect("a transaction");
    let events: Vec<_> = replies.iter().collect();
    let handler = process.engine.handler();
    handler
        .handle_batch(&mut tx, &events)
        .await
        .expect("handled");
    tx.commit().await.expect("a commit");
    for id in [one, other] {
        let saga = process.engine.load(id).await.expect("a saga");
        let progress = |step| saga.step(step).map(|step| step.progress);
        assert_eq!(
            [progress("pack"), progress("pay"), progress("ship")],
            [
                Some(Progress::Done),
                Some(Progress::Done),
                Some(Progress::Started)
            ]
        );
        // Its start, and a transition for each reply.
        assert_eq!(saga.version, 3);
        let sql = "SELECT COUNT(*) FROM saga_transitions WHERE saga_id = $1";
        let lines = process
            .database
            .fetch_one::<(i64,)>(sql, database::params![id]);
        assert_eq!(lines.await.expect("a count").0, 3);
        let sql = "SELECT COUNT(*) FROM saga_deadlines WHERE saga_id = $1 AND step <> 'ship'";
        let timers = process
            .database
            .fetch_one::<(i64,)>(sql, database::params![id]);
        assert_eq!(timers.await.expect("a count").0, 0);
    }
    process.stop().await;
}
