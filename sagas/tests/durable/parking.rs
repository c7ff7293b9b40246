//! Sagas whose definition is missing wait; sagas that cannot be read hold up nobody.

use database::{Sql, params};
use sagas::{Error, Intervention, Phase, Progress, Timer, Verb};
use serde_json::Value;
use testkit::{Backend, both_databases, eventually};
use uuid::Uuid;

use super::{
    operating::call,
    order::Conduct,
    world::{PATIENCE, World, events_of},
};

both_databases!(
    a_saga_whose_definition_is_missing_waits_and_takes_its_replies_when_it_is_there_again,
    a_saga_whose_definition_is_missing_can_only_be_given_up,
    a_saga_that_cannot_be_read_holds_up_nobody,
);

async fn waits_for_both(backend: Backend) -> (World, Uuid) {
    let world = World::new(backend).await;
    world.plan.set("pay", Conduct::Silent);
    world.plan.set("pack", Conduct::Silent);
    let id = world.started().await;
    world
        .until(id, |saga| world.waits_only_for_time(saga))
        .await;
    (world, id)
}

async fn a_saga_whose_definition_is_missing_waits_and_takes_its_replies_when_it_is_there_again(
    backend: Backend,
) {
    let (mut world, id) = waits_for_both(backend).await;
    world.restart_with(&[2]).await;
    let saga = world.until(id, |saga| saga.phase() == Phase::Parked).await;
    assert_eq!(saga.state.timers().count(), 0);
    world.answer(id, "pay", false).await;
    world.answer(id, "pack", false).await;
    eventually(PATIENCE, || async {
        world.count("saga_replies").await == 2
    })
    .await;
    let newer = world.started().await;
    assert_eq!(world.saga(newer).await.definition_version, 2);
    world.clock.advance(super::order::DEADLINE * 2);
    let saga = world.saga(id).await;
    assert_eq!(
        saga.step("pay").expect("a step").progress,
        Progress::Started,
        "nobody guessed"
    );
    world.restart_with(&[1, 2]).await;
    let saga = world.until(id, |saga| saga.phase().is_end()).await;
    assert_eq!(
        (saga.phase(), saga.definition_version),
        (Phase::Completed, 1)
    );
    assert_eq!(world.count("saga_replies").await, 0);
}

async fn a_saga_whose_definition_is_missing_can_only_be_given_up(backend: Backend) {
    let (mut world, id) = waits_for_both(backend).await;
    world.restart_with(&[2]).await;
    world.until(id, |saga| saga.phase() == Phase::Parked).await;
    let act = |verb| Intervention {
        verb,
        actor: "ops".into(),
        reason: "gone for good".into(),
    };
    let forced = world
        .engine()
        .intervene(id, act(Verb::ForceCompensation), None)
        .await;
    assert!(matches!(forced, Err(Error::Illegal(_))), "{forced:?}");
    let saga = world
        .engine()
        .intervene(id, act(Verb::Abandon), None)
        .await
        .unwrap();
    assert_eq!(saga.phase(), Phase::Abandoned);
    eventually(PATIENCE, || async {
        let events = events_of(&world.log, id).await;
        events.iter().any(|event| {
            event.event.event_type == "saga.intervened"
                && event.event.payload["verb"] == "abandon"
                && event.event.payload["actor"] == "ops"
        })
    })
    .await;
    world.restart_with(&[1, 2]).await;
    assert_eq!(world.saga(id).await.phase(), Phase::Abandoned);
}

async fn a_saga_that_cannot_be_read_holds_up_nobody(backend: Backend) {
    let (world, broken) = waits_for_both(backend).await;
    let sound = world.started().await;
    world
        .until(sound, |saga| world.waits_only_for_time(saga))
        .await;
    let garbage = Sql::by_dialect(
        "UPDATE sagas SET steps = '{\"not\": \"steps\"}'::jsonb WHERE id = $1",
        "UPDATE sagas SET steps = '{\"not\": \"steps\"}' WHERE id = $1",
    );
    world
        .database()
        .execute(garbage, params![broken])
        .await
        .unwrap();
    assert!(matches!(
        world.engine().load(broken).await,
        Err(Error::Corrupt { .. })
    ));
    let (_, listed) = call(
        &world.engine().ops(),
        "GET",
        "/sagas?state=open",
        Value::Null,
    )
    .await;
    assert_eq!(
        listed["items"].as_array().map(Vec::len),
        Some(1),
        "it hides nobody: {listed}"
    );
    world.answer(broken, "pay", false).await;
    world.run_out(sound, "pay", Timer::Deadline).await;
    let saga = world.until(sound, |saga| saga.phase().is_end()).await;
    assert_eq!(saga.phase(), Phase::Compensated);
    eventually(PATIENCE, || async {
        world.count("parked_events").await == 1
    })
    .await;
    let put_off: (i64,) = world
        .database()
        .fetch_one(
            "SELECT MAX(failures) FROM saga_deadlines WHERE saga_id = $1",
            params![broken],
        )
        .await
        .unwrap();
    assert!(put_off.0 >= 1);
}
