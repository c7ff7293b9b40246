//! Each service dies at each of its commits in the life of an answer, before it is durable or right
//! after, and starts again.

use std::time::Duration;

use contracts::http::AnswerStatus;
use testkit::eventually;

use crate::{
    on_both_databases,
    world::{Books, Kind, PARTS, PATIENCE, Part, Player, Setting, World, body},
};

on_both_databases!(a_death_at_any_commit_leaves_the_services_agreeing);

/// More commits than one answer makes in any service.
const COMMITS_MAX: u64 = 40;

#[derive(Clone, Copy, Debug)]
enum Moment {
    Before,
    After,
}

async fn a_death_at_any_commit_leaves_the_services_agreeing(kind: Kind) {
    // One long enough that the answer survives a restart, one that it does not.
    let answer_deadline = Duration::from_secs(2);
    let mut world = World::start(Setting {
        answer_deadline,
        ..Setting::on(kind)
    })
    .await;
    for part in PARTS {
        for moment in [Moment::Before, Moment::After] {
            let mut deaths = 0;
            for commit in 1..COMMITS_MAX {
                if !dies_at(&mut world, part, moment, commit).await {
                    break;
                }
                deaths += 1;
            }
            println!("{part:?} died {moment:?} each of {deaths} commits");
            assert!(
                (3..COMMITS_MAX - 1).contains(&deaths),
                "{part:?} {moment:?}: {deaths}"
            );
        }
    }
    world.books().await.agree();
}

/// Lets one answer run while `part` dies at its commit number `commit`; whether it came that far.
async fn dies_at(world: &mut World, part: Part, moment: Moment, commit: u64) -> bool {
    let player = world.player("Ada");
    world.settled().await;
    let faults = world.faults(part);
    match moment {
        Moment::Before => faults.die_before(commit),
        Moment::After => faults.die_after(commit),
    }
    let answer = world
        .post(&player, &body(0, "a"), &[("prefer", "respond-async")])
        .await;
    let dead = is_dead_or_idle(world, part, &player).await;
    if dead {
        world.restart_dead(part).await;
    } else {
        world.faults(part).revive();
    }
    let books = world.books().await;
    books.agree();
    let of_player = |books: &Books| {
        books
            .answers
            .iter()
            .filter(|a| a.user_id == player.id)
            .cloned()
            .collect::<Vec<_>>()
    };
    let recorded = of_player(&books);
    assert!(recorded.len() <= 1, "{recorded:?}");
    if answer.status == 202 {
        let told = recorded
            .iter()
            .any(|a| a.answer_id.to_string() == answer.body["id"]);
        assert!(
            told,
            "{part:?} {moment:?} {commit}: what was accepted is recorded"
        );
    }
    assert!(
        recorded.iter().all(|a| a.status != AnswerStatus::Pending),
        "{recorded:?}"
    );
    dead
}

/// Waits until the service died, or nothing is left to do that could kill it.
async fn is_dead_or_idle(world: &World, part: Part, player: &Player) -> bool {
    eventually(PATIENCE, async || {
        if world.faults(part).is_dead() {
            return Some(true);
        }
        let stats = world.get(Part::Quiz, player, "/api/stats/me").await;
        let settled = tokio::time::timeout(Duration::from_millis(500), world.settled()).await;
        (stats.status == 200 && settled.is_ok()).then(|| world.faults(part).is_dead())
    })
    .await
}
