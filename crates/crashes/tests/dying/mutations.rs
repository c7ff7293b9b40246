//! The deaths find bugs: with one switched on the audit has something to say, without it nothing.

use faults::{Moment, Mutation, Point, Write};
use testkit::{Backend, both_databases};

use crate::world::World;

both_databases!(
    a_checkpoint_after_the_commit_is_found,
    a_log_that_takes_repeats_for_new_events_is_found,
);

/// Deaths of a system with a bug at most. Which of its consumers is in the middle of an event when it
/// dies is chance, and those with a ledger bear it.
const DEATHS: usize = 30;

/// Dies, comes to its end, and is audited: with a bug again and again, until it is found as `finding`.
async fn finds(
    backend: Backend,
    mutation: Option<Mutation>,
    point: Point,
    finding: &str,
) -> Vec<String> {
    let mut world = World::with_bug(backend, mutation).await;
    for _ in 0..mutation.map_or(1, |_| DEATHS) {
        world.dies_at(point, point.write.later()).await;
        let found = world.audit().await;
        if mutation.is_some() && found.iter().any(|text| text.contains(finding)) {
            return found;
        }
    }
    // With a bug it may not come to its end.
    let ended = world.ends().await;
    let mut found = world.audit().await;
    found.extend(ended.err().map(|output| output.join("\n")));
    found
}

/// The bug is found, as this, and is not found where it is not.
async fn tells_apart(backend: Backend, mutation: Mutation, write: Write, finding: &str) {
    let (sound, mutated) = match backend.name {
        "postgres" => (Backend::postgres().await, backend),
        _ => (Backend::sqlite(), backend),
    };
    let point = Point {
        write,
        moment: Moment::After,
    };
    let found = finds(mutated, Some(mutation), point, finding).await;
    let (name, is_it) = (mutation.name(), |text: &String| text.contains(finding));
    assert!(found.iter().any(is_it), "{name} was not found: {found:#?}");
    let found = finds(sound, None, point, finding).await;
    assert!(found.is_empty(), "found without {name}: {found:#?}");
}

async fn a_checkpoint_after_the_commit_is_found(backend: Backend) {
    let (mutation, write) = (Mutation::CheckpointAfterCommit, Write::ConsumerHandle);
    tells_apart(backend, mutation, write, " 2 times").await;
}

async fn a_log_that_takes_repeats_for_new_events_is_found(backend: Backend) {
    let (mutation, write) = (Mutation::DedupOff, Write::RelayAppend);
    tells_apart(backend, mutation, write, " was sent by nobody").await;
}
