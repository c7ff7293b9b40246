//! The process dies before and after each of its durable commits, and is started again on the same
//! databases: every saga ends, and its effects are there once or not at all.

use sagas::Phase;
use testkit::{Backend, both_databases};
use uuid::Uuid;

use super::{order::Conduct, world::World};

both_databases!(
    a_saga_that_completes_survives_a_death_before_every_commit,
    a_saga_that_completes_survives_a_death_after_every_commit,
    a_saga_that_turns_back_survives_a_death_before_every_commit,
    a_saga_that_turns_back_survives_a_death_after_every_commit,
    a_saga_that_times_out_survives_a_death_before_every_commit,
    a_saga_that_times_out_survives_a_death_after_every_commit,
);

/// More commits than any of these runs has.
const MOST_COMMITS: u64 = 200;

#[derive(Clone, Copy)]
enum Moment {
    Before,
    After,
}

async fn die_everywhere(backend: Backend, moment: Moment, plan: &[(&'static str, Conduct)]) {
    let mut world = World::new(backend).await;
    for (what, conduct) in plan {
        world.plan.set(what, *conduct);
    }
    let expected = if plan.is_empty() {
        Phase::Completed
    } else {
        Phase::Compensated
    };
    for n in 1..=MOST_COMMITS {
        match moment {
            Moment::Before => world.faults.die_before(n),
            Moment::After => world.faults.die_after(n),
        }
        let id = Uuid::now_v7();
        // A lost commit or a lost answer: `drive` asks again.
        let _ = world.start(id).await;
        let saga = world.drive(id).await;
        let died = world.deaths() > 0;
        world.restart().await;
        assert_eq!(saga.phase(), expected, "commit {n}");
        world.check_end(&saga).await;
        if !died {
            // As many at least, however many share one on SQLite.
            assert!(n > 4, "the run has more commits than {n}");
            return;
        }
    }
    panic!("the run has more than {MOST_COMMITS} commits");
}

async fn a_saga_that_completes_survives_a_death_before_every_commit(backend: Backend) {
    die_everywhere(backend, Moment::Before, &[]).await;
}

async fn a_saga_that_completes_survives_a_death_after_every_commit(backend: Backend) {
    die_everywhere(backend, Moment::After, &[]).await;
}

async fn a_saga_that_turns_back_survives_a_death_before_every_commit(backend: Backend) {
    die_everywhere(backend, Moment::Before, &[("close", Conduct::Refuses)]).await;
}

async fn a_saga_that_turns_back_survives_a_death_after_every_commit(backend: Backend) {
    die_everywhere(backend, Moment::After, &[("close", Conduct::Refuses)]).await;
}

async fn a_saga_that_times_out_survives_a_death_before_every_commit(backend: Backend) {
    die_everywhere(backend, Moment::Before, &[("pack", Conduct::Silent)]).await;
}

async fn a_saga_that_times_out_survives_a_death_after_every_commit(backend: Backend) {
    die_everywhere(backend, Moment::After, &[("pack", Conduct::Silent)]).await;
}
