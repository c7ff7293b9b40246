//! Users who leave, and players who begin again, at any moment of an answer's life over all three
//! services: in the end nothing names who left, no saga stays open, and what counts is the same
//! everywhere.

use contracts::events::{UserDeleted, UserStatsReset};
use serde_json::json;
use testkit::eventually;
use uuid::Uuid;

use crate::{
    on_both_databases,
    world::{Kind, PARTICIPANTS, PARTS, PATIENCE, Part, Player, Setting, World, body},
};

on_both_databases!(
    nothing_is_left_of_who_leaves_at_any_moment_of_an_answer,
    a_death_at_any_commit_leaves_nothing_of_who_left,
    counts_begin_again_everywhere_also_under_an_undecided_answer,
);

/// Commits of a service around one answer and one departure that are tried.
const COMMITS: u64 = 6;

async fn leaves(world: &World, player: &Player) {
    let user_id = player.id;
    let stream = format!("users-{user_id}");
    world.publish(&UserDeleted { user_id }, &stream).await;
}

/// Gives an answer that nobody waits for; its id. One that is decided by the time that it is
/// accepted is told as it was decided.
async fn answers(world: &World, player: &Player, n: u128) -> serde_json::Value {
    let prefer = [("prefer", "respond-async")];
    let told = world.post(player, &body(n, "a"), &prefer).await;
    let id = match told.status {
        200 | 202 => "id",
        503 => "answerId",
        status => panic!("{status}: {}", told.body),
    };
    assert!(told.body[id].is_string(), "{}", told.body);
    told.body[id].clone()
}

/// No service names the player, and no saga is open.
async fn assert_gone(world: &World, user_id: Uuid) {
    let books = world.books().await;
    let named = books.answers.iter().any(|row| row.user_id == user_id)
        || books.stats.iter().any(|row| row.user_id == user_id)
        || books.checked.iter().any(|row| row.user_id == user_id)
        || books.players.iter().any(|row| row.user_id == user_id)
        || books.scored.iter().any(|row| row.user_id == user_id)
        || books.entries.iter().any(|row| row.user_id == user_id);
    assert!(!named, "{books:#?}");
}

async fn nothing_is_left_of_who_leaves_at_any_moment_of_an_answer(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let grace = world.player("Grace");
    assert_eq!(world.answer(&grace, 0, "a").await.status, 200);
    for paused in [
        &PARTICIPANTS[..],
        &[Part::Achievement],
        &[Part::Leaderboard],
        &[],
    ] {
        let ada = world.player("Ada");
        for part in paused {
            world.pause(*part).await;
        }
        let id = answers(&world, &ada, 0).await;
        if paused.is_empty() {
            world.saga_reaches(&id, "completed").await;
        }
        leaves(&world, &ada).await;
        for part in paused {
            world.resume(*part).await;
        }
        // The departure may come into the log before the answer, which is then taken back.
        world
            .saga_reaches_any(&id, &["completed", "compensated"])
            .await;
        assert_gone(&world, ada.id).await;
        let refused = world.answer(&ada, 1, "a").await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (401, &json!("account_deleted"))
        );
    }

    // The log has the departure before the answer: both participants refuse.
    let ada = world.player("Ada");
    let consumer = "/ops/consumers/accounts";
    world
        .operate(Part::Quiz, &format!("{consumer}/pause"))
        .await;
    leaves(&world, &ada).await;
    let id = answers(&world, &ada, 0).await;
    world.saga_reaches(&id, "compensated").await;
    world
        .operate(Part::Quiz, &format!("{consumer}/resume"))
        .await;
    assert_gone(&world, ada.id).await;

    let stats = world.get(Part::Quiz, &grace, "/api/stats/me").await.body;
    assert_eq!(stats["answered"], 1, "others keep what is theirs");
}

async fn a_death_at_any_commit_leaves_nothing_of_who_left(kind: Kind) {
    let mut world = World::start(Setting::on(kind)).await;
    for part in PARTS {
        let mut deaths = 0;
        for commit in 1..=COMMITS {
            let ada = world.player("Ada");
            world.settled().await;
            if commit % 2 == 0 {
                world.faults(part).die_before(commit);
            } else {
                world.faults(part).die_after(commit);
            }
            let prefer = [("prefer", "respond-async")];
            let _ = world.post(&ada, &body(0, "a"), &prefer).await;
            leaves(&world, &ada).await;
            if is_dead_or_forgotten(&world, part, &ada).await {
                deaths += 1;
                world.restart_dead(part).await;
            } else {
                world.faults(part).revive();
            }
            assert_gone(&world, ada.id).await;
        }
        assert!(deaths > 2, "{part:?} died {deaths} times");
    }
}

/// Waits until the service died, or the answer is given no more.
async fn is_dead_or_forgotten(world: &World, part: Part, player: &Player) -> bool {
    eventually(PATIENCE, async || {
        if world.faults(part).is_dead() {
            return Some(true);
        }
        // Who waits for a decision of a dead process would wait until its deadline.
        let refused = tokio::select! {
            () = world.faults(part).died() => return Some(true),
            told = world.answer(player, 1, "a") => told.status == 401,
        };
        let settled = tokio::time::timeout(std::time::Duration::from_millis(500), world.settled());
        (refused && settled.await.is_ok()).then(|| world.faults(part).is_dead())
    })
    .await
}

async fn counts_begin_again_everywhere_also_under_an_undecided_answer(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let ada = world.player("Ada");
    for n in 0..2 {
        assert_eq!(world.answer(&ada, n, "a").await.status, 200);
    }
    world.pause(Part::Leaderboard).await;
    let undecided = answers(&world, &ada, 2).await;
    let reset = UserStatsReset {
        user_id: ada.id,
        reason: "asked for".to_owned(),
    };
    world.settled_outboxes().await;
    world.publish(&reset, &format!("users-{}", ada.id)).await;
    world.resume(Part::Leaderboard).await;
    world.saga_reaches(&undecided, "completed").await;
    let after = world.answer(&ada, 3, "a").await;
    assert_eq!((after.status, &after.body["streak"]), (200, &json!(1)));

    let books = world.books().await;
    assert_eq!(books.answers.len(), 4, "they stay as history");
    let counted: Vec<_> = books
        .stats
        .iter()
        .map(|row| (row.answered, row.score))
        .collect();
    assert_eq!(counted, [(1, 10)]);
    let seen: Vec<_> = books.players.iter().map(|row| row.answered).collect();
    assert_eq!(seen, [1]);
    let scores: Vec<_> = books.entries.iter().map(|row| row.score).collect();
    assert_eq!(scores, [10]);
}
