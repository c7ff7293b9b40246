//! Replicas that differ: in the versions that they know, in their clocks.

use std::sync::Arc;

use database::{Timestamp, params};
use sagas::{DatabaseClock, ManualClock, Phase, Timer};
use testkit::{Backend, both_databases};

use super::{
    order::{Conduct, SECOND},
    process::Parts,
    world::World,
};

both_databases!(
    a_rolling_upgrade_ends_the_sagas_of_both_versions_each_by_its_own,
    a_deadline_fires_although_a_replica_does_not_know_the_definition,
    a_replica_whose_clock_is_a_minute_ahead_turns_sagas_back_early_and_nothing_twice,
);

/// Sagas of each version.
const EACH: usize = 4;

async fn a_rolling_upgrade_ends_the_sagas_of_both_versions_each_by_its_own(backend: Backend) {
    let mut world = World::new(backend).await;
    let both = world.spawn(Parts::All, &[1, 2]).await;
    world.plan.set("pay", Conduct::Silent);
    let mut ids = Vec::new();
    for _ in 0..EACH {
        ids.push((1, world.started().await));
        let newer = uuid::Uuid::now_v7();
        both.start(newer).await.unwrap();
        ids.push((2, newer));
    }
    for (_, id) in &ids {
        world
            .until(*id, |saga| world.waits_only_for_time(saga))
            .await;
    }
    // The old replica goes, and one comes that has never known the old version.
    world.restart_with(&[2]).await;
    world.plan.set("pay", Conduct::Good);
    for (_, id) in &ids {
        world.answer(*id, "pay", false).await;
    }
    for (version, id) in ids {
        let saga = world.until(id, |saga| saga.phase().is_end()).await;
        let ended = (saga.phase(), saga.definition_version);
        assert_eq!(ended, (Phase::Completed, version));
        world.check_end(&saga).await;
    }
    both.stop().await;
}

async fn a_deadline_fires_although_a_replica_does_not_know_the_definition(backend: Backend) {
    let world = World::new(backend).await;
    let newer = world.spawn(Parts::All, &[1, 2]).await;
    world.plan.set("pay", Conduct::Silent);
    for _ in 0..EACH {
        let id = uuid::Uuid::now_v7();
        newer.start(id).await.unwrap();
        world
            .until(id, |saga| world.waits_only_for_time(saga))
            .await;
        // The older replica finds the timer as soon, and can only park its saga.
        world.run_out(id, "pay", Timer::Deadline).await;
        let saga = world.until(id, |saga| saga.phase().is_end()).await;
        assert_eq!(saga.phase(), Phase::Compensated);
        world.check_end(&saga).await;
    }
    newer.stop().await;
}

async fn a_replica_whose_clock_is_a_minute_ahead_turns_sagas_back_early_and_nothing_twice(
    backend: Backend,
) {
    let world = World::new(backend).await;
    world.plan.set("pay", Conduct::Silent);
    let mut ids = Vec::new();
    for _ in 0..EACH {
        ids.push(world.started().await);
    }
    for id in &ids {
        world
            .until(*id, |saga| world.waits_only_for_time(saga))
            .await;
    }
    let ahead = Arc::new(ManualClock::at(world.clock.read() + 60 * SECOND));
    let replica = world.spawn_with(ahead, Parts::TimersOnly, &[1]).await;
    for id in ids {
        let saga = world.until(id, |saga| saga.phase().is_end()).await;
        assert_eq!(saga.phase(), Phase::Compensated);
        world.check_end(&saga).await;
    }
    replica.stop().await;
}

/// Replicas whose machines' clocks are a minute behind the database's: only the latter counts. SQLite
/// is on one machine, and has no clock of its own.
#[tokio::test]
async fn the_databases_clock_decides_whatever_the_replicas_clocks_say() {
    let world = World::asleep(Backend::postgres().await).await;
    let database = world.open().await;
    for sql in [
        "CREATE SCHEMA skewed",
        "CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
         $$ SELECT pg_catalog.clock_timestamp() + INTERVAL '1 minute' $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, skewed, pg_catalog',
             current_database()); END $$",
    ] {
        database.execute(sql, params![]).await.unwrap();
    }
    database.close().await;
    world.plan.set("pay", Conduct::Silent);
    let clock = || Arc::new(DatabaseClock);
    let one = world.spawn_with(clock(), Parts::All, &[1]).await;
    let other = world.spawn_with(clock(), Parts::TimersOnly, &[1]).await;
    let id = uuid::Uuid::now_v7();
    let here = Timestamp::system();
    let saga = one.start(id).await.unwrap();
    assert!(saga.created_at.since(here) > 30 * SECOND, "{saga:?}");
    let deadline = saga.step("pay").unwrap().timers[&Timer::Deadline];
    let waiting = one.engine.wait(id, super::world::PATIENCE);
    let decided = waiting.await.unwrap();
    assert!(decided.state.rolled_back, "{:?}", decided.state);
    assert!(
        decided.updated_at >= deadline,
        "not before the database says so"
    );
    one.stop().await;
    other.stop().await;
}
