//! A saga whose workflow code panics: an error of that saga alone, to timers and to recovery.

use database::params;
use sagas::{Phase, Timer};
use testkit::{Backend, both_databases, eventually};
use uuid::Uuid;

use super::{
    order::{Conduct, SECOND},
    world::{PATIENCE, World},
};

both_databases!(
    a_saga_that_panics_when_its_timer_fires_holds_up_nobody,
    a_saga_that_panics_when_it_is_resumed_holds_up_nobody,
);

/// Sagas beside the one that is poison.
const OTHERS: usize = 5;

/// Sagas that wait for `pay` alone; the first is poison from now on.
async fn one_is_poison(world: &World) -> (Uuid, Vec<Uuid>) {
    world.plan.set("pay", Conduct::Silent);
    let mut ids = Vec::new();
    for _ in 0..=OTHERS {
        ids.push(world.started().await);
    }
    for id in &ids {
        world
            .until(*id, |saga| world.waits_only_for_time(saga))
            .await;
    }
    let poison = ids.remove(0);
    world.plan.poison(Some(poison));
    (poison, ids)
}

async fn a_saga_that_panics_when_its_timer_fires_holds_up_nobody(backend: Backend) {
    let mut world = World::new(backend).await;
    let (poison, others) = one_is_poison(&world).await;
    let before = world.saga(poison).await;
    world
        .run_out(others[OTHERS - 1], "pay", Timer::Deadline)
        .await;
    for id in others {
        let saga = world.until(id, |saga| saga.phase().is_end()).await;
        assert_eq!(saga.phase(), Phase::Compensated);
        world.check_end(&saga).await;
    }
    let failures = || async {
        let sql = "SELECT MAX(failures) FROM saga_deadlines WHERE saga_id = $1";
        let read = world.database().fetch_one(sql, params![poison]).await;
        let (failures,): (i64,) = read.unwrap();
        failures >= 1
    };
    eventually(PATIENCE, failures).await;
    assert_eq!(
        world.saga(poison).await.version,
        before.version,
        "nothing half done"
    );
    world.restart().await;
    let new = world.started().await;
    world.answer(new, "pay", false).await;
    world.until(new, |saga| saga.phase().is_end()).await;
    world.plan.poison(None);
    world.clock.advance(300 * SECOND);
    let saga = world.drive(poison).await;
    assert_eq!(saga.phase(), Phase::Compensated);
    world.check_end(&saga).await;
}

async fn a_saga_that_panics_when_it_is_resumed_holds_up_nobody(backend: Backend) {
    let mut world = World::new(backend).await;
    let (poison, others) = one_is_poison(&world).await;
    world.restart_with(&[2]).await;
    world.plan.set("pay", Conduct::Good);
    for id in others.iter().chain([&poison]) {
        world.until(*id, |saga| saga.phase() == Phase::Parked).await;
        world.answer(*id, "pay", false).await;
    }
    let kept = i64::try_from(OTHERS + 1).unwrap();
    eventually(PATIENCE, || async {
        world.count("saga_replies").await == kept
    })
    .await;
    world.restart_with(&[1, 2]).await;
    for id in others {
        let saga = world.until(id, |saga| saga.phase().is_end()).await;
        assert_eq!(saga.phase(), Phase::Completed);
        world.check_end(&saga).await;
    }
    assert_eq!(world.saga(poison).await.phase(), Phase::Parked);
    world.plan.poison(None);
    // It is looked at again, more and more rarely.
    let saga = world.until(poison, |saga| saga.phase().is_end()).await;
    assert_eq!(saga.phase(), Phase::Completed);
    world.check_end(&saga).await;
}
